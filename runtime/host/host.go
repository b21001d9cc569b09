// Package host is a connected host as modules see it. A [View] can look and nothing else; a [Host] can also write.
// What a module plans with is a View, so that planning cannot write, by type. Below both is a [Backend]: a real
// connection with its shells and its file access, or the scripted one of package hosttest.
package host

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"regexp"
	"strings"
	"time"
)

// Command is one program with its arguments. Arguments are data: they reach the program as they are, whatever
// characters they hold.
type Command struct {
	Argv  []string
	Dir   string            // working directory; empty: the login directory
	Env   map[string]string // added to the environment; never put a secret here, `ps e` shows it
	Stdin io.Reader         // nil: empty input

	// Looking says that the command changes nothing. A View sets it; whoever makes a Command leaves it alone.
	Looking bool
}

// String shows the command as one would type it, for messages.
func (c Command) String() string { return Quote(c.Argv...) }

// Script is a command that runs text with the host's /bin/sh; args arrive as "$1", "$2" … and are never spliced into the text.
// Keep to what POSIX and dash 0.5.4 know: old hosts run it too. A script that only looks runs in a subshell of the
// long-lived shell, so "$$" is the process id of that shell and nothing to be killed.
func Script(text string, args ...string) Command {
	return Command{Argv: append([]string{"/bin/sh", "-c", text, "sh"}, args...)}
}

// Output is what a command that has ended printed.
type Output struct {
	Stdout string
	Stderr string
	Status int
}

// Lines returns the lines of Stdout without their line ends; nil when it is empty.
func (o Output) Lines() []string {
	text := strings.TrimSuffix(o.Stdout, "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// ExitError is the error of a command that ran and ended with a status other than 0.
type ExitError struct {
	Command string // as typed, for messages
	Status  int
	Signal  string
	Stderr  string
}

func (e *ExitError) Error() string {
	how := fmt.Sprintf("exit status %d", e.Status)
	if e.Signal != "" {
		how = "ended by signal " + e.Signal
	}
	if e.Status == 127 && e.Stderr == "" {
		how += " (no such program)"
	}
	if last := lastLine(e.Stderr); last != "" {
		how += ": " + shellPrefix.ReplaceAllString(last, "")
	}
	return fmt.Sprintf("cannot run %s: %s", e.Command, how)
}

// shellPrefix is what dash, bash and busybox put before a complaint of their own.
var shellPrefix = regexp.MustCompile(`^(/bin/)?sh: (line )?(\d+: )?((exec|eval): )?(line )?(\d+: )?`)

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// FileInfo describes a file. Times are kept to the second on hosts whose file access knows no better.
type FileInfo struct {
	Path  string
	Mode  fs.FileMode // type bits and permissions, as in package io/fs
	Size  int64
	UID   int
	GID   int
	Mtime time.Time
}

// Process is a long-running command with its streams, in a channel of its own. See [transport.Process].
type Process interface {
	Stdin() io.WriteCloser
	Stdout() io.Reader
	Stderr() io.Reader
	// Wait waits for the end. A status other than 0 is an [*ExitError] whose Stderr is empty (the caller read it).
	Wait() error
	// Close ends the command on the host, also over SSH where closing a channel does not, and gives up the channel.
	Close() error
}

// Files is access to the file system of a host at one privilege level. Errors wrap those of io/fs (fs.ErrNotExist …).
type Files interface {
	Lstat(ctx context.Context, path string) (FileInfo, error)
	Stat(ctx context.Context, path string) (FileInfo, error)
	ReadDir(ctx context.Context, path string) ([]FileInfo, error) // sorted by name; Path holds the whole path
	Readlink(ctx context.Context, path string) (string, error)
	Open(ctx context.Context, path string) (io.ReadCloser, error)

	Create(ctx context.Context, path string, mode fs.FileMode) (io.WriteCloser, error) // O_EXCL; Close syncs where the server can
	Mkdir(ctx context.Context, path string, mode fs.FileMode) error
	Rename(ctx context.Context, from, to string) error // replaces to, atomically
	Remove(ctx context.Context, path string) error     // file, link or empty directory
	Symlink(ctx context.Context, target, path string) error
	Link(ctx context.Context, from, to string) error
	Chmod(ctx context.Context, path string, mode fs.FileMode) error
	Chown(ctx context.Context, path string, uid, gid int) error
	Chtimes(ctx context.Context, path string, mtime time.Time) error
	FreeSpace(ctx context.Context, path string) (bytes, inodes uint64, err error)
}

// Backend is what a View and a Host stand on, at one privilege level.
type Backend interface {
	// Name is the host's name in the recipe ("old").
	Name() string
	// Exec runs a short command to its end, normally in the long-lived shell. A status other than 0 is an [*ExitError];
	// the Output is returned as well.
	Exec(ctx context.Context, c Command) (Output, error)
	// Start runs a long command in a channel of its own. When the command has no Stdin the caller feeds and closes the
	// Process's. Cancelling ctx ends the command on the host.
	Start(ctx context.Context, c Command) (Process, error)
	// Files is the access to files.
	Files() Files
	// Dial connects to an address as the host sees it.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
	// Facts looks at the host once and remembers.
	Facts(ctx context.Context) (*Facts, error)
	// Local says that the host is the machine the runner itself runs on, at the runner's own privileges: its paths can be opened directly.
	Local() bool
	// Sudo is the same host as root (itself when it is root already).
	Sudo(ctx context.Context) (Backend, error)
}
