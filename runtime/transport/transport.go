// Package transport gets bytes to a host and back: over SSH, or to the machine the runner itself runs on. It knows
// nothing of shells beyond handing over one command line, nothing of files, privileges or recipes.
package transport

import (
	"context"
	"io"
	"net"
)

// Conn is a connection to one host. Its methods may be called from several goroutines at once; each [Process] and
// each [net.Conn] it returns is a channel of its own.
type Conn interface {
	// Start hands line to the login shell of the connected user and returns as soon as it runs. Cancelling ctx closes
	// the channel; over SSH what was started may go on on the host (sshd delivers no signal to it), so a caller that
	// must end it remembers its process id.
	Start(ctx context.Context, line string) (Process, error)

	// Dial connects to an address as the host sees it ("tcp", "127.0.0.1:3306" or "unix", "/run/mysqld/mysqld.sock").
	// The connection honours read and write deadlines also where the tunnel below has none. A server that does not
	// forward Unix sockets (OpenSSH before 6.7) gives an error for which errors.Is(err, ErrNoStreamlocal) holds.
	Dial(ctx context.Context, network, address string) (net.Conn, error)

	// Peer describes the other end.
	Peer() Peer

	// Done is closed when the connection is lost or closed; Err then says why (nil after Close).
	Done() <-chan struct{}
	Err() error

	// Close ends the connection with all its channels.
	Close() error
}

// Process is a command that was started on a host. Stdout and Stderr must be read (or Wait called after both ended),
// else the command blocks when the channel's window is full.
type Process interface {
	Stdin() io.WriteCloser
	Stdout() io.Reader
	Stderr() io.Reader

	// Wait waits until the command has ended and both outputs were read to their end. A command that ended with a
	// status other than 0, or by a signal, is no error here: it is in Exit. An error means that nobody knows how it ended.
	Wait() (Exit, error)

	// Close gives up the channel without waiting for the command.
	Close() error
}

// Exit is how a command ended.
type Exit struct {
	Status int    // exit status; 128+n in the shell's manner when Signal is set and known
	Signal string // "TERM", "KILL" ... or empty
}

// Peer is what is known of the other end of a connection.
type Peer struct {
	Address     string // "mail.example.org:22", or "local"
	User        string
	Server      string // version string of the SSH server, "SSH-2.0-OpenSSH_6.0p1 Debian-4+deb7u4"; empty when Local
	Fingerprint string // "SHA256:…" of the host key; empty when Local
	Local       bool
}
