package lab

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"runner/lab/internal/container"
)

// bootFile remembers what a host was started with, so that it can be started again.
func (h *Host) bootFile() string { return filepath.Join(h.dir, "boot.json") }

// boot starts a host and returns when its PID 1 runs; the services in it take some seconds more. With fresh, everything that
// the host wrote since it was seeded is gone.
func (l *Lab) boot(ctx context.Context, h *Host, lower stack, fresh bool) error {
	cgroup, err := l.Options.cgroup(h.Name)
	if err != nil {
		return err
	}
	spec := container.Spec{
		Hostname: h.Hostname, NetNS: l.Options.netnsPath(h.Name), Lower: lower,
		Upper: filepath.Join(h.dir, "upper"), Work: filepath.Join(h.dir, "work"), Merged: filepath.Join(h.dir, "root"),
		Argv: []string{"/sbin/init"}, Env: []string{"PATH=" + hostPath, "container=lab", "TERM=linux"},
		Cgroup: cgroup, Systemd: h.Init == "systemd", Console: h.console(), PIDFile: h.pidFile(),
	}
	if h.isDNS() {
		spec.Argv = []string{"/usr/sbin/knotd", "-c", "/etc/knot/knot.conf"}
	}
	if fresh {
		if err := os.RemoveAll(spec.Upper); err != nil {
			return err
		}
	}
	// The work directory belongs to one mount: what is left of the last one is of no use.
	if err := os.RemoveAll(spec.Work); err != nil {
		return err
	}
	for _, dir := range []string{spec.Upper, spec.Work, spec.Merged} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := l.identity(h, lower, spec.Upper); err != nil {
		return fmt.Errorf("cannot give %s its identity: %w", h.Name, err)
	}
	if err := writeJSON(h.bootFile(), lower); err != nil {
		return err
	}
	if err := h.linkUp(ctx); err != nil {
		return err
	}
	_, err = container.Start(ctx, spec)
	return err
}

// identity writes into the upper layer what makes a host this lab's: name, resolver, keys. It must be there before the
// boot, because the scripts of the boot copy some of it, Postfix into its chroot for one.
func (l *Lab) identity(h *Host, lower stack, upper string) error {
	var hosts strings.Builder
	fmt.Fprintf(&hosts, "127.0.0.1\tlocalhost\n%s\t%s %s\n", h.Address, h.Hostname, strings.Split(h.Hostname, ".")[0])
	resolv := "search " + infraZone + "\noptions timeout:2 attempts:2\n"
	for _, a := range l.DNS {
		resolv += "nameserver " + a + "\n"
	}
	files := []file{
		{"/etc/hostname", h.Hostname + "\n", 0o644, 0},
		{"/etc/hosts", hosts.String(), 0o644, 0},
		{"/etc/resolv.conf", resolv, 0o644, 0},
	}
	if h.Init == "systemd" {
		// Else systemd makes one up at each boot (machine-id(5)).
		id := sha256.Sum256([]byte(l.Options.Name + " " + h.Hostname))
		files = append(files, file{"/etc/machine-id", hex.EncodeToString(id[:16]) + "\n", 0o444, 0})
	}
	if !h.isDNS() {
		keys, err := l.keyFiles(h)
		if err != nil {
			return err
		}
		files = append(files, keys...)
	} else {
		files = append(files, l.dnsFiles()...)
	}
	for _, f := range files {
		if err := lower.write(upper, f.name, []byte(f.data), f.mode); err != nil {
			return err
		}
		if f.owner != 0 {
			if err := os.Chown(filepath.Join(upper, f.name), f.owner, f.owner); err != nil {
				return err
			}
		}
	}
	return nil
}

// file is a file to write into a host; owner is user and group.
type file struct {
	name, data string
	mode       os.FileMode
	owner      int
}

func (l *Lab) keyFiles(h *Host) ([]file, error) {
	public, err := os.ReadFile(l.Key + ".pub")
	if err != nil {
		return nil, err
	}
	const admin = 1000 // the first user that useradd makes
	files := []file{
		{"/root/.ssh/authorized_keys", string(public), 0o600, 0},
		{"/home/" + sudoUser + "/.ssh/authorized_keys", string(public), 0o600, admin},
	}
	for _, kind := range hostKeyTypes(h) {
		for suffix, mode := range map[string]os.FileMode{"": 0o600, ".pub": 0o644} {
			b, err := os.ReadFile(l.hostKey(h, kind) + suffix)
			if err != nil {
				return nil, err
			}
			files = append(files, file{"/etc/ssh/ssh_host_" + kind + "_key" + suffix, string(b), mode, 0})
		}
	}
	return files, nil
}

// dnsFiles are the configuration and the zones as they are at the beginning.
func (l *Lab) dnsFiles() []file {
	files := []file{{"/etc/knot/knot.conf", l.knotConfig(), 0o644, 0}}
	for _, zone := range l.Zones {
		files = append(files, file{zoneFile(zone), l.zoneText(zone), 0o644, 0})
	}
	return files
}

// Start boots a host that is off, with what it had written before; it returns when the host serves again.
func (l *Lab) Start(ctx context.Context, name string) error {
	h, err := l.Host(name)
	if err != nil {
		return err
	}
	if h.PID() != 0 {
		return nil
	}
	if err := l.start(ctx, h, false); err != nil {
		return err
	}
	return l.ready(ctx, h)
}

// start boots a host on the layers it had at its last boot.
func (l *Lab) start(ctx context.Context, h *Host, fresh bool) error {
	var lower stack
	if err := readJSON(h.bootFile(), &lower); err != nil {
		return fmt.Errorf("cannot start %s: %w; runner lab down, then runner lab up make a new one", h.Name, err)
	}
	if i := slices.IndexFunc(lower, func(dir string) bool { return !exists(dir) }); i >= 0 {
		return fmt.Errorf("cannot start %s: %s is gone; runner lab down, then runner lab up make a new one", h.Name, lower[i])
	}
	return l.boot(ctx, h, lower, fresh)
}

// cgroup is the directory for the processes of a host in the cgroup2 hierarchy, wherever that is mounted.
func (o Options) cgroup(host string) (string, error) {
	root, err := cgroupRoot()
	if err != nil {
		return "", err
	}
	return filepath.Join(root, prefixAll+o.Name+"-"+host), nil
}

func cgroupRoot() (string, error) {
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
			return dir, nil
		}
	}
	return "", errors.New("cannot find the cgroup2 hierarchy, which systemd in the new server needs: mount -t cgroup2 cgroup2 /sys/fs/cgroup")
}
