//go:build !linux

package transport

import "net"

// acknowledge does nothing where TCP_QUICKACK does not exist.
func acknowledge(net.Conn) {}
