package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func mustBeRoot(what string) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("cannot %s: the lab needs root; call it with sudo", what)
	}
	return nil
}

// tools are the programs that the lab needs, and the packages that they come in.
var tools = []struct{ program, pkg string }{{"ip", "iproute2"}, {"nsenter", "util-linux"}, {"mmdebstrap", "mmdebstrap"}}

// errNotDebian says that nothing that the machine lacks could be installed on it.
var errNotDebian = errors.New("cannot start a lab on this machine: it needs Debian, or a system with apt and mmdebstrap")

// Available says whether this machine can run a lab: nil, or one sentence about what it lacks. The caller must be root to start
// one.
func Available() error {
	missing := missingPackages()
	if len(missing) == 0 {
		_, err := cgroupRoot()
		return err
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return errNotDebian
	}
	return fmt.Errorf("cannot start a lab: this machine lacks %s; install it with: apt-get %s (or call runner lab up --install)",
		strings.Join(missing, ", "), strings.Join(installArgs(missing), " "))
}

// missingPackages are the packages to install before a lab can start.
func missingPackages() []string {
	var missing []string
	for _, t := range tools {
		if _, err := exec.LookPath(t.program); err != nil {
			missing = append(missing, t.pkg)
		}
	}
	keyring := func(suffix string) bool { return exists(filepath.Join(keyringDir, "debian-archive-keyring"+suffix)) }
	if !keyring(".gpg") && !keyring(".pgp") {
		missing = append(missing, "debian-archive-keyring")
	}
	return missing
}

func installArgs(packages []string) []string {
	return slices.Concat([]string{"install", "--yes", "--no-install-recommends"}, packages)
}

// checkMachine says what the machine lacks, or installs it.
func (o Options) checkMachine(ctx context.Context, w io.Writer) error {
	if err := mustBeRoot("start a lab"); err != nil {
		return err
	}
	err := Available()
	if err == nil || !o.Install || errors.Is(err, errNotDebian) {
		return err
	}
	missing := missingPackages()
	if len(missing) == 0 {
		return err
	}
	fmt.Fprintf(w, "installing %s …\n", strings.Join(missing, ", "))
	for _, args := range [][]string{{"update"}, installArgs(missing)} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("cannot install %s: %w: %s", strings.Join(missing, ", "), err, complaints(string(out)))
		}
	}
	return Available()
}
