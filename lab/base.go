package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"runner/lab/internal/aptsource"
)

// mirrors are where packages come from.
type mirrors = aptsource.Mirrors

const aptEtc = "/etc/apt"

// keyringDir holds the keyrings of package debian-archive-keyring.
const keyringDir = "/usr/share/keyrings"

// findMirrors takes the mirror that was asked for, or that of the machine's apt configuration.
func (o Options) findMirrors() (mirrors, error) {
	if o.Mirror != "" {
		return mirrors{Archive: strings.TrimSuffix(o.Mirror, "/")}, nil
	}
	m, ok := aptsource.Find(aptsource.Read(aptEtc))
	if !ok {
		return m, errors.New("cannot find a mirror of Debian in the apt configuration of this machine; name one with --mirror URL")
	}
	return m, nil
}

// base installs a Debian release with what a kind of host needs.
func (c *layers) base(ctx context.Context, h *Host, m mirrors) (string, error) {
	suite, include := h.Suite, packagesOf(h)
	return c.build(ctx, "base-"+suite+"-"+sum(suite, include, strings.Join(debootstrapOptions, "\n")), "base system "+suite,
		func(ctx context.Context, dir string) error { return c.debootstrap(ctx, suite, include, m, dir) })
}

// debootstrapOptions keep the base small and the installation quick. A release that is no longer maintained has a signature
// that is past its date.
var debootstrapOptions = []string{
	"--mode=root", "--variant=minbase",
	`--aptopt=APT::Install-Recommends "false"`, `--aptopt=Acquire::Languages "none"`, `--aptopt=Acquire::Check-Valid-Until "false"`,
	"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-exclude=/usr/share/doc/*",
	"--dpkgopt=path-include=/usr/share/doc/*/copyright", "--dpkgopt=force-unsafe-io",
}

func (c *layers) debootstrap(ctx context.Context, suite, include string, m mirrors, dir string) error {
	lines := []string{"deb " + m.Archive + " " + suite + " main"}
	// An old server is one that is no longer updated; and not every mirror has the updates of old releases whole.
	if m.Security != "" && slices.Contains(NewSuites, suite) {
		withUpdates := append(slices.Clip(lines), "deb "+m.Security+" "+suite+"-security main")
		err := c.mmdebstrap(ctx, suite, include, dir, withUpdates)
		if err == nil || ctx.Err() != nil {
			return err
		}
		c.say("base system %s: the security updates cannot be had (%s); installing without them", suite, firstLine(err.Error()))
		if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755)); err != nil {
			return err
		}
	}
	return c.mmdebstrap(ctx, suite, include, dir, lines)
}

func (c *layers) mmdebstrap(ctx context.Context, suite, include, dir string, sources []string) error {
	args := append(slices.Clone(debootstrapOptions), "--include="+include)
	for _, name := range []string{"debian-archive-keyring.gpg", "debian-archive-removed-keys.gpg"} {
		if file := filepath.Join(keyringDir, name); exists(file) {
			args = append(args, "--keyring="+file)
		}
	}
	for _, setting := range aptProxies(ctx) {
		args = append(args, fmt.Sprintf("--aptopt=%s %q", setting.name, setting.value))
	}
	args = append(args, suite, dir)
	cmd := exec.CommandContext(ctx, "mmdebstrap", append(args, sources...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	// In process and mount namespaces of its own everything that it started and mounted ends with it, and it ends with this program,
	// however that ends. Pdeathsig is about the thread that starts it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("mmdebstrap: %w: %s", err, complaints(out.String()))
	}
	return nil
}

// complaints are the lines of apt and mmdebstrap that say what went wrong.
func complaints(output string) string {
	var out []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "E: ") || strings.HasPrefix(line, "W: ") || strings.HasPrefix(line, "dpkg: error") {
			out = append(out, line)
		}
	}
	if len(out) == 0 {
		return "it says nothing"
	}
	return strings.Join(out[:min(len(out), 4)], "; ")
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, ";")
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// aptSetting is a line of the configuration of apt (apt.conf(5)).
type aptSetting struct{ name, value string }

// aptProxies are the proxy settings of this machine's apt, which mmdebstrap does not read.
func aptProxies(ctx context.Context) []aptSetting {
	out, err := exec.CommandContext(ctx, "apt-config", "dump", "--no-empty", "--format=%f %v%n").Output()
	if err != nil {
		return nil
	}
	var list []aptSetting
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "acquire::") && strings.Contains(lower, "::proxy") {
			list = append(list, aptSetting{name, value})
		}
	}
	return list
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}
