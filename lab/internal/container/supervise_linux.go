package container

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxConsole bounds the file of the console: a host that runs for weeks must not fill the disk.
const maxConsole = 4 << 20

// superviseMain is the process that stays beside a host. Standard input is the Spec; file descriptor 3 takes one line
// for the caller: empty when PID 1 is being executed, else what went wrong (NUL for a line break).
func superviseMain() int {
	answer := os.NewFile(3, "answer")
	syscall.CloseOnExec(3)
	var s Spec
	if err := json.NewDecoder(os.Stdin).Decode(&s); err != nil {
		fmt.Fprintf(answer, "cannot read what to start: %v\n", err)
		return 1
	}
	console, tty, err := openPTY()
	var cmd *exec.Cmd
	if err == nil {
		cmd, err = startInit(s, tty)
	}
	if err != nil {
		text := fmt.Sprintf("cannot start %s: %v", s.Hostname, err)
		fmt.Fprintln(answer, strings.ReplaceAll(text, "\n", "\x00"))
		return 1
	}
	fmt.Fprintln(answer)
	answer.Close()
	if s.Bound {
		go func() {
			io.Copy(io.Discard, os.Stdin)
			cmd.Process.Kill()
		}()
	}
	copied := make(chan struct{})
	go func() {
		defer close(copied)
		copyConsole(console, s.Console)
	}()
	err = cmd.Wait()
	// The reading end fails as soon as nobody has the terminal open, which happens between two programs of a boot, too: so
	// it is held open here until the host has ended.
	tty.Close()
	<-copied
	if err == nil {
		return 0
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return max(1, cmd.ProcessState.ExitCode())
}

// startInit starts the stage that becomes PID 1 and waits until it has executed it.
func startInit(s Spec, tty *os.File) (*exec.Cmd, error) {
	// The thread keeps its namespace: the supervisor shall be found by it, and the child is born in it. It also must not end,
	// because Pdeathsig is about the thread that made the child.
	runtime.LockOSThread()
	if s.NetNS != "" {
		fd, err := unix.Open(s.NetNS, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("cannot open the network namespace %s: %w", s.NetNS, err)
		}
		err = unix.Setns(fd, unix.CLONE_NEWNET)
		unix.Close(fd)
		if err != nil {
			return nil, fmt.Errorf("cannot enter the network namespace %s: %w", s.NetNS, err)
		}
	}
	if err := lockLayers(s.Lower); err != nil {
		return nil, err
	}
	in, spec, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	status, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer status.Close()
	cmd := exec.Command("/proc/self/exe", append(command[:], stageInit)...)
	cmd.Args[0] = "runner"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.ExtraFiles = []*os.File{in, theirs}
	cmd.Env = s.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
	}
	if s.NetNS == "" {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWNET
	}
	if s.Bound {
		cmd.SysProcAttr.Pdeathsig = unix.SIGKILL
	}
	err = cmd.Start()
	in.Close()
	theirs.Close()
	if err != nil {
		return nil, fmt.Errorf("cannot make its namespaces: %w", err)
	}
	if err := writePID(s.PIDFile, cmd.Process.Pid); err != nil {
		cmd.Process.Kill()
		return nil, err
	}
	err = json.NewEncoder(spec).Encode(initSpec{Spec: s, TTY: tty.Name()})
	spec.Close()
	said, _ := io.ReadAll(status) // ends when PID 1 is executed, or with the error that prevented it
	if err != nil || len(said) > 0 {
		cmd.Process.Kill()
		cmd.Wait()
		if len(said) > 0 {
			err = fmt.Errorf("%s", said)
		}
		return nil, err
	}
	return cmd, nil
}

// lockLayers takes a shared lock on each layer for the life of this process, so that nobody removes one in use.
func lockLayers(dirs []string) error {
	for _, dir := range dirs {
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB)
		}
		if err != nil {
			return fmt.Errorf("cannot use the layer %s: %w", dir, err)
		}
	}
	return nil
}

// openPTY opens a pseudo terminal (pts(4)): the end to read from, and the terminal itself.
func openPTY() (console, tty *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot open a pseudo terminal: %w", err)
	}
	console = os.NewFile(uintptr(fd), "/dev/ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, fmt.Errorf("cannot unlock the pseudo terminal: %w", err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot name the pseudo terminal: %w", err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot open the pseudo terminal: %w", err)
	}
	return console, tty, nil
}

// copyConsole writes what comes from the console to a file until the host is gone; what exceeds maxConsole is dropped,
// but always read, else the host would block.
func copyConsole(console io.Reader, file string) {
	out := io.Discard
	if file != "" {
		if f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644); err == nil {
			defer f.Close()
			out = f
		}
	}
	buf := make([]byte, 8192)
	for written := 0; ; {
		n, err := console.Read(buf)
		if n > 0 && written < maxConsole {
			written += n
			out.Write(buf[:n])
		}
		if err != nil {
			return
		}
	}
}
