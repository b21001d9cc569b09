package transport_test

import (
	"testing"

	"runner/runtime/transport"
	"runner/runtime/transport/sshtest"
	"runner/runtime/transport/transporttest"
)

// BenchmarkDial opens and closes a connection to OpenSSH on this machine, login included.
func BenchmarkDial(b *testing.B) {
	spec := sshtest.OpenSSH(b, "MaxStartups 100")
	d := transport.NewDialer(transport.Options{})
	for b.Loop() {
		c, err := d.Dial(b.Context(), spec)
		if err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}

// BenchmarkChannel runs a command in a channel of its own, which starts a login shell: what a host's long-lived shells save.
func BenchmarkChannel(b *testing.B) {
	c, err := transport.Dial(b.Context(), sshtest.OpenSSH(b, ""), transport.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	for b.Loop() {
		if _, _, _, err := transporttest.Command(b.Context(), c, ":", ""); err != nil {
			b.Fatal(err)
		}
	}
}
