package mysql

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"runner/runtime/host"
)

// relayProgram connects its standard streams to the socket that its argument names. It needs what perl-base has, which
// Debian's releases all carry. It stands in where sshd cannot forward to a socket (before OpenSSH 6.7), and where the
// server asks who is at the socket and that must be root by sudo and not the user who logged in.
const relayProgram = `
use strict; use Socket; use Fcntl; use Errno;
socket(my $s, PF_UNIX, SOCK_STREAM, 0) or die "$!\n";
connect($s, sockaddr_un($ARGV[0])) or die "$!\n";
fcntl($s, F_SETFL, fcntl($s, F_GETFL, 0) | O_NONBLOCK) or die "$!\n";
my ($up, $down, $upeof, $downeof, $shut) = ("", "", 0, 0, 0);
$SIG{PIPE} = sub { exit 0 };
while (!$downeof || length $down) {
  my ($r, $w) = ("", "");
  vec($r, 0, 1) = 1 if !$upeof && length($up) < 262144;
  vec($r, fileno($s), 1) = 1 if !$downeof && length($down) < 262144;
  vec($w, fileno($s), 1) = 1 if length $up;
  vec($w, 1, 1) = 1 if length $down;
  next if select($r, $w, undef, undef) < 0;
  if (vec($r, 0, 1)) { $upeof = 1 if !sysread(STDIN, $up, 65536, length $up); }
  if (vec($r, fileno($s), 1)) {
    my $n = sysread($s, $down, 65536, length $down);
    $downeof = 1 if defined $n ? $n == 0 : !$!{EAGAIN};
  }
  if (vec($w, fileno($s), 1)) {
    my $n = syswrite($s, $up);
    if (defined $n) { substr($up, 0, $n) = ""; } elsif (!$!{EAGAIN}) { exit 1; }
  }
  if (vec($w, 1, 1)) { my $n = syswrite(STDOUT, $down, 4096); exit 1 if !defined $n; substr($down, 0, $n) = ""; }
  if ($upeof && !length $up && !$shut) { shutdown($s, 1); $shut = 1; }
}
`

// dialRelay connects to a socket of the host through a process there, with the rights that the view's commands have.
// ctx must live as long as the connection.
func dialRelay(ctx context.Context, v *host.View, socket string) (net.Conn, error) {
	p, err := v.Stream(ctx, host.Command{Argv: []string{"perl", "-e", relayProgram, socket}})
	if err != nil {
		return nil, err
	}
	c := &relayConn{process: p, socket: socket}
	c.said.Add(1)
	go func() {
		defer c.said.Done()
		text, _ := io.ReadAll(io.LimitReader(p.Stderr(), 4096))
		c.stderr = strings.TrimSpace(string(text))
		_, _ = io.Copy(io.Discard, p.Stderr())
	}()
	return c, nil
}

// relayConn is the relay's streams as a connection. It has no deadlines; the driver sets none when none are configured.
type relayConn struct {
	process host.Process
	socket  string
	said    sync.WaitGroup
	stderr  string // valid after said
	closing sync.Once
	failure error
}

// Read turns the end of a relay that could not connect into the reason it gave.
func (c *relayConn) Read(b []byte) (int, error) {
	n, err := c.process.Stdout().Read(b)
	if n == 0 && err != nil {
		c.said.Wait()
		if c.stderr != "" {
			return 0, errors.New(lastLine(c.stderr))
		}
	}
	return n, err
}

func (c *relayConn) Write(b []byte) (int, error) { return c.process.Stdin().Write(b) }

func (c *relayConn) Close() error {
	c.closing.Do(func() {
		_ = c.process.Stdin().Close()
		c.failure = c.process.Close()
	})
	return c.failure
}

func (c *relayConn) LocalAddr() net.Addr              { return &net.UnixAddr{Net: "unix"} }
func (c *relayConn) RemoteAddr() net.Addr             { return &net.UnixAddr{Net: "unix", Name: c.socket} }
func (c *relayConn) SetDeadline(time.Time) error      { return nil }
func (c *relayConn) SetReadDeadline(time.Time) error  { return nil }
func (c *relayConn) SetWriteDeadline(time.Time) error { return nil }

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
