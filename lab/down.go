package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Down ends a lab and removes everything that it made on this machine: processes, network, cgroups, what the hosts wrote. It needs
// no record of the lab, so that it also removes what an Up left that was killed. The cache stays, and so do the keys, for
// the next lab of that name.
func Down(ctx context.Context, o Options, w io.Writer) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	if err := mustBeRoot("take the lab down"); err != nil {
		return err
	}
	if !exists(o.Dir) && len(o.leftovers()) == 0 {
		fmt.Fprintf(w, "no lab %q is up\n", o.Name)
		return nil
	}
	unlock, err := o.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	there := exists(filepath.Join(o.Dir, "lab.json")) || len(o.leftovers()) > 0
	if err := o.teardown(ctx); err != nil {
		return err
	}
	if err := o.removeState(); err != nil {
		return err
	}
	if there {
		fmt.Fprintf(w, "lab %q is down\n", o.Name)
	} else {
		fmt.Fprintf(w, "no lab %q is up\n", o.Name)
	}
	return nil
}

// leftovers are the names of everything of the lab that the machine still has outside the lab's directories.
func (o Options) leftovers() []string {
	var out []string
	for _, name := range o.namespaces() {
		out = append(out, "network namespace "+name)
	}
	if exists("/sys/class/net/" + o.link()) {
		out = append(out, "interface "+o.link())
	}
	for _, dir := range o.cgroups() {
		out = append(out, "cgroup "+dir)
	}
	for _, dir := range mountsBelow(o.Dir) {
		out = append(out, "mount "+dir)
	}
	return out
}

func (o Options) namespaces() []string {
	entries, _ := os.ReadDir(netnsDir)
	var out []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), o.netns("")) {
			out = append(out, e.Name())
		}
	}
	return out
}

func (o Options) cgroups() []string {
	root, err := cgroupRoot()
	if err != nil {
		return nil
	}
	out, _ := filepath.Glob(filepath.Join(root, o.netns("")+"*"))
	return out
}

// mountsBelow are the mount points below a directory, the deepest first (proc_pid_mountinfo(5)).
func mountsBelow(dir string) []string {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
			out = append(out, fields[4])
		}
	}
	slices.Reverse(out)
	return out
}

// teardown removes processes, mounts, network and cgroups.
func (o Options) teardown(ctx context.Context) error {
	if err := o.killAll(ctx); err != nil {
		return err
	}
	for _, dir := range mountsBelow(o.Dir) {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("cannot unmount %s: %w", dir, err)
		}
	}
	if exists("/sys/class/net/" + o.link()) {
		if err := ip(ctx, "link", "del", o.link()); err != nil {
			return err
		}
	}
	for _, name := range o.namespaces() {
		if err := ip(ctx, "netns", "del", name); err != nil {
			// A name without a namespace behind it, as a kill between two steps leaves it.
			if err := os.Remove(filepath.Join(netnsDir, name)); err != nil {
				return err
			}
		}
	}
	o.removeNetnsDir()
	for _, dir := range o.cgroups() {
		if err := removeCgroup(dir); err != nil {
			return err
		}
	}
	return nil
}

// removeNetnsDir takes away the directory that ip netns made and mounted on itself, once nobody has a namespace in it.
func (o Options) removeNetnsDir() {
	if entries, err := os.ReadDir(netnsDir); err == nil && len(entries) == 0 {
		for unix.Unmount(netnsDir, 0) == nil {
		}
		os.Remove(netnsDir)
	}
}

// killAll kills every process that lives in one of the lab's network namespaces: the hosts, their supervisors, and what was
// started in them from outside. The supervisors end with their hosts.
func (o Options) killAll(ctx context.Context) error {
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		pids := o.processes()
		if len(pids) == 0 {
			return nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return errors.Join(ctx.Err(), fmt.Errorf("cannot kill the processes %v of the lab", pids))
		}
		for _, pid := range pids {
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("cannot kill process %d: %w", pid, err)
			}
		}
	}
}

// processes are the processes in the lab's network namespaces and in its cgroups.
func (o Options) processes() []int {
	inside := map[uint64]bool{}
	for _, name := range o.namespaces() {
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(netnsDir, name), &st); err == nil && st.Dev == nsDevice() {
			inside[st.Ino] = true
		}
	}
	found := map[int]bool{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		// Of each thread: a supervisor has entered the namespace with one of them only.
		threads, _ := filepath.Glob("/proc/" + e.Name() + "/task/*/ns/net")
		for _, thread := range threads {
			var st unix.Stat_t
			if unix.Stat(thread, &st) == nil && inside[st.Ino] {
				found[pid] = true
			}
		}
	}
	for _, dir := range o.cgroups() {
		filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Name() == "cgroup.procs" {
				b, _ := os.ReadFile(path)
				for _, field := range strings.Fields(string(b)) {
					if pid, err := strconv.Atoi(field); err == nil && pid > 1 {
						found[pid] = true
					}
				}
			}
			return nil
		})
	}
	out := make([]int, 0, len(found))
	for pid := range found {
		out = append(out, pid)
	}
	slices.Sort(out)
	return out
}

// nsDevice is the device of the kernel's nsfs, on which every namespace has its inode.
func nsDevice() uint64 {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &st); err != nil {
		return 0
	}
	return uint64(st.Dev)
}

// removeCgroup removes a cgroup and those below it. The kernel empties it a moment after the last process has gone.
func removeCgroup(dir string) error {
	var dirs []string
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return nil
	})
	slices.Reverse(dirs)
	for _, d := range dirs {
		for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			err := unix.Rmdir(d)
			if err == nil || errors.Is(err, syscall.ENOENT) {
				break
			}
			if time.Now().After(end) {
				return fmt.Errorf("cannot remove the cgroup %s: %w", d, err)
			}
		}
	}
	return nil
}

// removeState removes what Up wrote into the state directory, but for the keys, and nothing else: the directory may have been
// somebody's own.
func (o Options) removeState() error {
	for _, name := range []string{"hosts", "lab.json", "site.lua", "ssh_config", "known_hosts", "before-the-move.json"} {
		if err := os.RemoveAll(filepath.Join(o.Dir, name)); err != nil {
			return fmt.Errorf("cannot remove the state of the lab: %w", err)
		}
	}
	return nil
}

// marker says that a directory is the lab's.
const marker = ".runner-lab"

// claim makes the state directory, and refuses one that holds something else.
func (o Options) claim() error {
	entries, err := os.ReadDir(o.Dir)
	if err == nil && len(entries) > 0 && !exists(filepath.Join(o.Dir, marker)) {
		return fmt.Errorf("cannot use %s for the lab: it is not empty, and no lab wrote it", o.Dir)
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return fmt.Errorf("cannot make the directory of the lab: %w", err)
	}
	return writeFile(filepath.Join(o.Dir, marker), nil, 0o644)
}

// lock makes sure that one command at a time changes a lab.
func (o Options) lock(ctx context.Context) (unlock func(), err error) {
	if err := o.claim(); err != nil {
		return nil, err
	}
	return lockFile(ctx, filepath.Join(o.Dir, "lock"))
}
