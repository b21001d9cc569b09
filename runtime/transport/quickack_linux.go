package transport

import (
	"net"

	"golang.org/x/sys/unix"
)

// acknowledge answers what was read at once (TCP_QUICKACK of tcp(7), which the kernel forgets again). An sshd sends its small packets
// one by one until a session is open (Nagle), and each waited 40 ms for the acknowledgement of the one before.
func acknowledge(c net.Conn) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	if raw, err := tcp.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1) })
	}
}
