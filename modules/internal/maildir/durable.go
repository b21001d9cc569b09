package maildir

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"runner/runtime/host"
)

// syncDir makes what was written to the file system of a directory survive a loss of power. Old programs called sync know no single file
// system and take all of them.
func syncDir(ctx context.Context, v *host.View, dir string) error {
	if direct(v) {
		return syncLocal(dir)
	}
	if _, err := v.QueryScript(ctx, `cd "$1" && { sync -f . 2>/dev/null || sync; }`, dir); err != nil {
		return fmt.Errorf("cannot sync %s on %s: %w", dir, v.Name(), err)
	}
	return nil
}

// ifFull says of an error that tells a full target what is free there and how to go on.
func ifFull(ctx context.Context, at side, err error) error {
	if err == nil {
		return nil
	}
	said := strings.ToLower(err.Error())
	full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
	if !full && !strings.Contains(said, "no space left on device") && !strings.Contains(said, "disk quota exceeded") { // as perl says it
		return err
	}
	free := ""
	if bytes, inodes, spaceErr := at.view.FreeSpace(ctx, at.root); spaceErr == nil {
		free = fmt.Sprintf(" (%s and %s free on %s)", Size(int64(min(bytes, 1<<62))), counted(int64(min(inodes, 1<<62)), "inode", "inodes"), at)
	}
	return fmt.Errorf("%w%s: make room and run again; messages that have arrived are not sent again", err, free)
}
