package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"runner/lab/internal/container"
)

const hostPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// PID is the process id of the host's PID 1 on this machine; 0 while the host is off.
func (h *Host) PID() int {
	p, err := container.ReadPID(h.pidFile())
	if err != nil || !p.Alive() {
		return 0
	}
	return p.PID
}

func (h *Host) pidFile() string { return filepath.Join(h.dir, "pid.json") }
func (h *Host) console() string { return filepath.Join(h.dir, "console.log") }

// Root is the host's root directory as this machine sees it, /proc/PID/root; empty while the host is off. Beware of
// absolute symlinks in it, which lead to this machine's own files: os.OpenRoot does not follow them.
func (h *Host) Root() string {
	pid := h.PID()
	if pid == 0 {
		return ""
	}
	return "/proc/" + strconv.Itoa(pid) + "/root"
}

// Exec runs a program as root inside the host, not by SSH but by entering its namespaces, with a bare environment. What
// it writes to standard output is returned, also with an error; a status other than 0 is an error that holds the last lines of
// standard error, and for which errors.As finds an *exec.ExitError.
func (h *Host) Exec(ctx context.Context, argv ...string) (stdout []byte, err error) {
	cmd, err := h.Command(ctx, argv...)
	if err != nil {
		return nil, err
	}
	var out, diag bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diag
	// A daemon that the program started keeps its output open for as long as it lives.
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		text := strings.TrimSpace(diag.String())
		if lines := strings.Split(text, "\n"); len(lines) > 5 {
			text = strings.Join(lines[len(lines)-5:], "\n")
		}
		if text != "" {
			text = ": " + text
		}
		return out.Bytes(), fmt.Errorf("cannot run %s on %s: %w%s", argv[0], h.Name, err, text)
	}
	return out.Bytes(), nil
}

// Command prepares a program inside the host, as [Host.Exec] runs it, for callers that need its streams.
func (h *Host) Command(ctx context.Context, argv ...string) (*exec.Cmd, error) {
	pid := h.PID()
	if pid == 0 {
		return nil, fmt.Errorf("cannot run %s on %s: the host is off", strings.Join(argv, " "), h.Name)
	}
	if len(argv) == 0 {
		return nil, errors.New("cannot run nothing on a host")
	}
	args := []string{"--target", strconv.Itoa(pid), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--", "/usr/bin/env", "-i",
		"PATH=" + hostPath, "HOME=/root", "USER=root", "LOGNAME=root", "SHELL=/bin/bash", "TERM=" + os.Getenv("TERM"), "container=lab"}
	return exec.CommandContext(ctx, "nsenter", append(args, argv...)...), nil
}

// Kill ends a host as a power cut would, and returns when nothing of it runs any more. What it wrote stays for [Lab.Start].
func (h *Host) Kill() error {
	p, err := container.ReadPID(h.pidFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return container.Kill(p)
}

// MaybeBootHost does nothing in a program that was started as usual. In one that was started to become a host of a lab
// ("PROGRAM lab boot-host STAGE") it does that and does not return.
func MaybeBootHost() {
	if len(os.Args) == 4 && os.Args[1] == "lab" && os.Args[2] == "boot-host" {
		os.Exit(container.Main(os.Args[3]))
	}
}
