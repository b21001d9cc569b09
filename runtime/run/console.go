package run

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Console asks the person at the terminal. It reads and writes /dev/tty, so that questions are answered by a person also when the
// input or the output of the command leads elsewhere.
type Console struct {
	mu  sync.Mutex
	tty *os.File
}

// OpenConsole opens the terminal of the process. Without one nobody is present, which is no error.
func OpenConsole() *Console {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil || !term.IsTerminal(int(tty.Fd())) {
		return &Console{}
	}
	return &Console{tty: tty}
}

// Present says that there is a terminal.
func (c *Console) Present() bool { return c.tty != nil }

// Close gives the terminal back.
func (c *Console) Close() error {
	if c.tty == nil {
		return nil
	}
	return c.tty.Close()
}

// Confirm asks for a yes.
func (c *Console) Confirm(ctx context.Context) (bool, error) {
	for {
		answer, err := c.Line(ctx, "  Go on? [yes/no] ")
		if err != nil {
			return false, err
		}
		switch strings.ToLower(answer) {
		case "y", "yes":
			return true, nil
		case "n", "no":
			return false, nil
		}
	}
}

// Line asks for a line of text.
func (c *Console) Line(ctx context.Context, prompt string) (string, error) {
	return c.ask(ctx, prompt, func() (string, error) {
		// One byte at a time: what was typed ahead belongs to the next question.
		line, err := bufio.NewReaderSize(oneByte{ctx, c.tty}, 16).ReadString('\n')
		if errors.Is(err, io.EOF) {
			err = errors.New("the terminal was closed")
		}
		return strings.TrimSpace(line), err
	})
}

// Secret asks for a text that is not shown while it is typed.
func (c *Console) Secret(ctx context.Context, prompt string) (string, error) {
	if c.tty == nil {
		return "", errors.New("there is no terminal to ask on")
	}
	before, err := term.GetState(int(c.tty.Fd()))
	if err != nil {
		return "", err
	}
	secret, err := c.ask(ctx, prompt, func() (string, error) {
		text, err := term.ReadPassword(int(c.tty.Fd()))
		return string(text), err
	})
	if err != nil {
		// A question that was given up leaves the terminal without echo.
		_ = term.Restore(int(c.tty.Fd()), before)
	}
	fmt.Fprintln(c.tty)
	return secret, err
}

// pollTime is after how many milliseconds a question that was given up no longer reads.
const pollTime = 100

// ask reads in the background, so that a stop ends the question. A hidden answer that was given up is read on until the process
// ends: nothing can wake that.
func (c *Console) ask(ctx context.Context, prompt string, read func() (string, error)) (string, error) {
	if c.tty == nil {
		return "", errors.New("there is no terminal to ask on")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := io.WriteString(c.tty, prompt); err != nil {
		return "", err
	}
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		text, err := read()
		got <- answer{text, err}
	}()
	select {
	case a := <-got:
		return a.text, a.err
	case <-ctx.Done():
		fmt.Fprintln(c.tty)
		return "", context.Cause(ctx)
	}
}

// oneByte reads from a terminal as long as its context lasts: a reader that stayed behind would take the answer to the next question.
type oneByte struct {
	ctx context.Context
	tty *os.File
}

func (o oneByte) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if err := o.ctx.Err(); err != nil {
			return 0, err
		}
		fds := []unix.PollFd{{Fd: int32(o.tty.Fd()), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, pollTime)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return 0, err
		}
		if n > 0 {
			return o.tty.Read(p[:1])
		}
	}
}
