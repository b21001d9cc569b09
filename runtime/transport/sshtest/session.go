package sshtest

import (
	"errors"
	"io"
	"os/exec"
	"slices"
	"syscall"

	"golang.org/x/crypto/ssh"
)

// session runs one command, or serves files. Like a real sshd it leaves the command alone when the channel is closed.
func (s *Server) session(c ssh.NewChannel) {
	ch, requests, err := c.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	for r := range requests {
		var payload struct{ Text string }
		_ = ssh.Unmarshal(r.Payload, &payload)
		switch {
		case r.Type == "exec":
			_ = r.Reply(true, nil)
			go ssh.DiscardRequests(requests)
			s.exec(ch, payload.Text)
			return
		case r.Type == "subsystem" && payload.Text == "sftp" && !s.o.NoSFTP:
			_ = r.Reply(true, nil)
			go ssh.DiscardRequests(requests)
			serveSFTP(ch)
			return
		default:
			_ = r.Reply(false, nil)
		}
	}
}

func (s *Server) exec(ch ssh.Channel, line string) {
	login := append(slices.Clone(s.o.Login), line)
	if len(s.o.Login) == 0 {
		login = []string{"/bin/sh", "-c", line}
	}
	cmd := exec.Command(login[0], login[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return
	}
	cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
	if err := cmd.Start(); err != nil {
		_, _ = io.WriteString(ch.Stderr(), err.Error())
		return
	}
	s.running(cmd.Process.Pid, true)
	defer s.running(cmd.Process.Pid, false)
	go func() {
		_, _ = io.Copy(stdin, ch)
		stdin.Close()
	}()
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			name := map[syscall.Signal]string{syscall.SIGTERM: "TERM", syscall.SIGKILL: "KILL", syscall.SIGINT: "INT", syscall.SIGHUP: "HUP"}[ws.Signal()]
			_, _ = ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
				Name string
				Core bool
				Text string
				Lang string
			}{Name: name}))
			return
		}
	}
	_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(cmd.ProcessState.ExitCode())}))
}

func (s *Server) running(group int, yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !yes:
		delete(s.commands, group)
	case s.over:
		_ = syscall.Kill(-group, syscall.SIGKILL)
	default:
		s.commands[group] = true
	}
}

// endCommands ends what still runs when the test is over.
func (s *Server) endCommands() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	for group := range s.commands {
		_ = syscall.Kill(-group, syscall.SIGKILL)
	}
}
