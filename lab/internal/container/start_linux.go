package container

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// command is what the program is started with; the stage follows.
var command = [...]string{"lab", "boot-host"}

const (
	stageSupervise = "supervise"
	stageInit      = "init"
)

// Start starts a host and returns as soon as its PID 1 is being executed. The host goes on when the caller ends.
func Start(ctx context.Context, s Spec) (PID, error) {
	s.Bound = false
	v, err := supervise(ctx, s)
	if err != nil {
		return PID{}, err
	}
	v.lifeline.Close()
	// Nobody waits for it in a program that ends; in one that stays it must not become a zombie.
	go v.cmd.Wait()
	return ReadPID(s.PIDFile)
}

// Run starts a host, waits until its PID 1 has ended, and with it everything in it. When ctx ends first, or the program, the
// host is killed. A status other than 0 is an [*ExitError].
func Run(ctx context.Context, s Spec) error {
	s.Bound = true
	v, err := supervise(ctx, s)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { v.lifeline.Close() })
	err = v.cmd.Wait()
	stop()
	v.lifeline.Close()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return &ExitError{Status: exit.ExitCode(), Tail: Tail(s.Console, 20)}
	}
	return err
}

// supervisor is the process that stays beside a host.
type supervisor struct {
	cmd *exec.Cmd
	// lifeline is its input; a bound supervisor ends its host when it is closed, as it is also when this program is killed.
	lifeline *os.File
}

// supervise starts the supervisor and returns when PID 1 is being executed.
func supervise(ctx context.Context, s Spec) (*supervisor, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	if err := os.Remove(s.PIDFile); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	spec, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	in, lifeline, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	answer, theirs, err := os.Pipe()
	if err != nil {
		lifeline.Close()
		return nil, err
	}
	defer answer.Close()
	// Not CommandContext: the supervisor of a host that runs must not end with the caller's context.
	cmd := exec.Command("/proc/self/exe", append(command[:], stageSupervise)...)
	cmd.Args[0] = "runner"
	cmd.Stdin = in
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Dir = "/"
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		lifeline.Close()
		return nil, fmt.Errorf("cannot start the supervisor of %s: %w", s.Hostname, err)
	}
	_, err = lifeline.Write(append(spec, '\n'))
	line, readErr := bufio.NewReader(answer).ReadString('\n')
	switch {
	case err != nil || readErr != nil:
		err = fmt.Errorf("cannot start %s: its supervisor ended without a word", s.Hostname)
	case line != "\n":
		err = errors.New(strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "\x00", "\n"))
	default:
		return &supervisor{cmd, lifeline}, nil
	}
	lifeline.Close()
	cmd.Process.Kill()
	cmd.Wait()
	return nil, err
}

// Kill ends a host as a power cut would: SIGKILL to PID 1, on which the kernel kills everything else in its namespace. It
// returns when the host is gone.
func Kill(p PID) error {
	if !p.Alive() {
		return nil
	}
	if err := unix.Kill(p.PID, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("cannot kill process %d: %w", p.PID, err)
	}
	if !waitGone(p, 20*time.Second) {
		return fmt.Errorf("cannot kill process %d: it is still there after 20 s", p.PID)
	}
	return nil
}

// Main runs a stage of the start of a host ("supervise" or "init") and returns the exit status of the process.
func Main(stage string) int {
	switch stage {
	case stageSupervise:
		return superviseMain()
	case stageInit:
		return initMain()
	}
	fmt.Fprintf(os.Stderr, "cannot boot a host: unknown stage %q\n", stage)
	return 1
}
