package host

import (
	"context"
	"time"
)

// Init systems a host can have booted with.
const (
	Systemd   = "systemd"
	SysV      = "sysv"
	OtherInit = "other"
)

// Facts is what is known of a host without asking for anything in particular.
type Facts struct {
	Hostname string        // as `hostname -f` says, or `hostname` where that fails
	OS       string        // ID of os-release(5): "debian"; on hosts without it, from /etc/debian_version
	Version  string        // "7.11", "12.5"; for an unreleased Debian its code name
	Major    int           // 7, 12; 0 when unknown
	Kernel   string        // `uname -r`
	Arch     string        // `uname -m`
	Init     string        // Systemd, SysV or OtherInit: what runs as process 1, not what is installed
	UID      int           // of the user commands run as
	User     string        // its name
	Skew     time.Duration // clock of the host minus clock of the runner, to the second
}

// hasScript prints "yes" or "no".
const hasScript = `command -v "$1" >/dev/null 2>&1 && echo yes || echo no`

// Has says whether a program is found in the host's PATH (with the sbin directories added). Words as they are in the
// shell's language, such as "test", are found as well.
func (v *View) Has(ctx context.Context, program string) (bool, error) {
	if has, ok := v.b.(interface{ Has(string) bool }); ok {
		return has.Has(program), nil
	}
	out, err := v.QueryScript(ctx, hasScript, program)
	if err != nil {
		return false, err
	}
	return out.Stdout == "yes\n", nil
}
