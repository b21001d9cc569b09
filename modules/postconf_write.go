package modules

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"runner/runtime/host"
)

// sbinPath adds the folders of the administrator's programs, which the PATH of other users lacks.
const sbinPath = `PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin`

// postfixRun runs a program of Postfix; the arguments reach it as they are.
const postfixRun = sbinPath + `; exec "$@"`

func (p *postconfPlan) write(ctx context.Context, h *host.Host, name string) error {
	_, err := h.RunCommand(ctx, host.Script(postfixRun, "postconf", "-c", p.now.dir, "-e", name+" = "+p.set[name]))
	if err != nil {
		return fmt.Errorf("cannot set %s on %s: %w", name, h.Name(), postfixError(err))
	}
	return p.age(ctx, h)
}

// age makes main.cf five seconds older than it is. A program of Postfix that finds main.cf changed within the last second or
// so waits until it is older, lest it was written in part (dict_load_file_xt in src/util/dict.c): postconf would, and after a
// reload each process that serves mail, at a time when mail may stand still. Here it is always replaced in one piece.
func (p *postconfPlan) age(ctx context.Context, h *host.Host) error {
	_, err := h.RunCommand(ctx, host.Script(postfixRun, "touch", "-d", "5 seconds ago", path.Join(p.now.dir, "main.cf")))
	var exit *host.ExitError
	if errors.As(err, &exit) { // then it takes two seconds longer
		return nil
	}
	return err
}

// remove takes a parameter out of main.cf. It edits the file itself: `postconf -X` came with Postfix 2.10.
func (p *postconfPlan) remove(ctx context.Context, h *host.Host, name string) error {
	file, info, err := followFile(ctx, h.View, path.Join(p.now.dir, "main.cf"))
	if err != nil {
		return fmt.Errorf("cannot unset %s on %s: %w", name, h.Name(), why(err))
	}
	text, err := h.ReadFile(ctx, file)
	if err != nil {
		return fmt.Errorf("cannot unset %s on %s: %w", name, h.Name(), why(err))
	}
	main := parseMain(string(text))
	main.remove(name)
	if err := h.WriteFile(ctx, file, []byte(main.String()), host.Attr{Mode: info.Mode.Perm(), UID: info.UID, GID: info.GID}); err != nil {
		return fmt.Errorf("cannot unset %s on %s: %w", name, h.Name(), why(err))
	}
	return p.age(ctx, h)
}

func (p *postconfPlan) reload(ctx context.Context, h *host.Host) error {
	if _, err := h.RunCommand(ctx, host.Script(postfixRun, "postfix", "-c", p.now.dir, "reload")); err != nil {
		return fmt.Errorf("cannot reload Postfix on %s: %w", h.Name(), postfixError(err))
	}
	return nil
}

// postfixError keeps what Postfix's programs said last that is not a warning.
func postfixError(err error) error {
	var exit *host.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	said := ""
	for line := range strings.Lines(exit.Stderr) {
		if line = strings.TrimSpace(line); line != "" && !strings.Contains(line, "warning:") {
			said = line
		}
	}
	if said == "" {
		return err
	}
	return errors.New(said)
}
