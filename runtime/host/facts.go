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

// Has says whether a program is found in the host's PATH (with the sbin directories added). The answer is remembered.
func (v *View) Has(ctx context.Context, program string) (bool, error) {
	out, err := v.QueryScript(ctx, `PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; command -v "$1" >/dev/null && echo yes || echo no`, program)
	if err != nil {
		return false, err
	}
	return out.Stdout == "yes\n", nil
}
