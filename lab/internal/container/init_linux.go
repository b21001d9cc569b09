package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// initSpec is what the process that becomes PID 1 is told.
type initSpec struct {
	Spec
	TTY string // the console, a file of the machine's /dev/pts
}

// initMain is the process that becomes PID 1. File descriptor 3 holds the initSpec; 4 takes an error, and is closed by the
// execution of PID 1.
func initMain() int {
	// One thread does it all: unshare and the capability bounding set are attributes of a thread, and execve keeps those
	// of the thread that calls it.
	runtime.LockOSThread()
	syscall.CloseOnExec(3)
	syscall.CloseOnExec(4)
	status := os.NewFile(4, "status")
	var s initSpec
	err := json.NewDecoder(os.NewFile(3, "spec")).Decode(&s)
	if err == nil {
		err = s.enter()
	}
	if err == nil {
		err = syscall.Exec(s.Argv[0], s.Argv, s.Env)
		err = fmt.Errorf("cannot execute %s: %w", s.Argv[0], err)
	}
	fmt.Fprint(status, err)
	return 1
}

// enter makes the host's view of the machine and moves into it.
func (s initSpec) enter() error {
	unix.Umask(0o022)
	for _, step := range []func() error{
		s.joinCgroup, s.mountRoot, s.mountKernel, s.mountDev, s.mountCgroup,
		func() error { return unix.Sethostname([]byte(s.Hostname)) },
		s.pivot, dropCapabilities,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// joinCgroup moves the process into the host's cgroup first and makes that the root of its cgroup namespace then: the root
// is the cgroup that the process is in at that moment (cgroup_namespaces(7)).
func (s initSpec) joinCgroup() error {
	if s.Cgroup == "" {
		return nil
	}
	if err := os.MkdirAll(s.Cgroup, 0o755); err != nil {
		return fmt.Errorf("cannot make the cgroup %s: %w", s.Cgroup, err)
	}
	if err := os.WriteFile(filepath.Join(s.Cgroup, "cgroup.procs"), []byte("0"), 0o644); err != nil {
		return fmt.Errorf("cannot join the cgroup %s: %w", s.Cgroup, err)
	}
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("cannot make a cgroup namespace: %w", err)
	}
	return nil
}

func (s initSpec) mountRoot() error {
	// Private, so that no mount of the host is seen outside it.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("cannot make the mounts private: %w", err)
	}
	// The kernel takes a moment to let go of the layers of a host that was just killed.
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := unix.Mount("runnerlab", s.Merged, "overlay", 0, s.overlayOptions())
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
			return fmt.Errorf("cannot mount the overlay on %s (%s): %w", s.Merged, s.overlayOptions(), err)
		}
	}
}

type mountPoint struct {
	source, target, fstype string
	flags                  uintptr
	data                   string
}

func (s initSpec) mount(list ...mountPoint) error {
	for _, m := range list {
		target := filepath.Join(s.Merged, m.target)
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.source, target, m.fstype, m.flags, m.data); err != nil {
			return fmt.Errorf("cannot mount %s: %w", m.target, err)
		}
	}
	return nil
}

// mountKernel mounts proc and sys. What is set there for the whole machine stays read-only.
func (s initSpec) mountKernel() error {
	const safe = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := s.mount(
		mountPoint{"proc", "proc", "proc", safe, ""},
		mountPoint{"sysfs", "sys", "sysfs", safe | unix.MS_RDONLY, ""},
		mountPoint{"tmpfs", "run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=755"},
	); err != nil {
		return err
	}
	for _, name := range []string{"proc/sys", "proc/sysrq-trigger", "proc/irq", "proc/bus"} {
		path := filepath.Join(s.Merged, name)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		if err := unix.Mount(path, path, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("cannot protect /%s: %w", name, err)
		}
		if err := unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|safe, ""); err != nil {
			return fmt.Errorf("cannot protect /%s: %w", name, err)
		}
	}
	return nil
}

// devices are the nodes that every container has (kernel documentation, admin-guide/devices.rst).
var devices = []struct {
	name         string
	major, minor uint32
}{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}}

func (s initSpec) mountDev() error {
	if err := s.mount(
		mountPoint{"tmpfs", "dev", "tmpfs", unix.MS_NOSUID, "mode=755"},
		mountPoint{"devpts", "dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620,gid=5"},
		mountPoint{"tmpfs", "dev/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
	); err != nil {
		return err
	}
	dev := filepath.Join(s.Merged, "dev")
	for _, d := range devices {
		path := filepath.Join(dev, d.name)
		if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(d.major, d.minor))); err != nil {
			return fmt.Errorf("cannot make /dev/%s: %w", d.name, err)
		}
		if err := os.Chmod(path, 0o666); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx",
	} {
		if err := os.Symlink(target, filepath.Join(dev, name)); err != nil {
			return err
		}
	}
	console := filepath.Join(dev, "console")
	if err := os.WriteFile(console, nil, 0o600); err != nil {
		return err
	}
	if err := unix.Mount(s.TTY, console, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("cannot make /dev/console of %s: %w", s.TTY, err)
	}
	return nil
}

func (s initSpec) mountCgroup() error {
	if !s.Systemd {
		return nil
	}
	return s.mount(mountPoint{"cgroup2", "sys/fs/cgroup", "cgroup2", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, ""})
}

// pivot makes the overlay the root and lets the machine's own root go. Both names of pivot_root may be "."
// (pivot_root(2)): the old root is then stacked on the new one.
func (s initSpec) pivot() error {
	if err := os.Chdir(s.Merged); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("cannot change the root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("cannot leave the old root: %w", err)
	}
	return os.Chdir("/")
}

// dropCapabilities takes away for ever what acts on the whole machine and not on the host alone.
func dropCapabilities() error {
	for _, c := range []uintptr{unix.CAP_SYS_MODULE, unix.CAP_SYS_RAWIO, unix.CAP_SYS_TIME, unix.CAP_MAC_ADMIN, unix.CAP_MAC_OVERRIDE} {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			return fmt.Errorf("cannot drop capability %d: %w", c, err)
		}
	}
	return nil
}
