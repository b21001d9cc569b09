package transport_test

import (
	"testing"

	"runner/runtime/transport"
	"runner/runtime/transport/sshtest"
	"runner/runtime/transport/transporttest"
)

func TestOpenSSH(t *testing.T) {
	spec := sshtest.OpenSSH(t, "", "ed25519")
	transporttest.Run(t, func(t *testing.T) transport.Conn { return dial(t, spec, transport.Options{}) })
}

func TestOpenSSHWithFewSessions(t *testing.T) {
	transporttest.Many(t, dial(t, sshtest.OpenSSH(t, "MaxSessions 3", "ed25519"), transport.Options{}), 20)
}

// A host known by its RSA key also has others, which the library would rather see: it must be asked for the RSA one.
func TestOpenSSHKnownByItsOldKey(t *testing.T) {
	dial(t, sshtest.OpenSSH(t, "", "rsa", "ecdsa", "ed25519"), transport.Options{})
}

func TestOpenSSHBusyWithHandshakes(t *testing.T) {
	spec := sshtest.OpenSSH(t, "MaxStartups 2", "ed25519")
	d := transport.NewDialer(transport.Options{})
	errs := make(chan error, 16)
	for range 16 {
		go func() {
			c, err := d.Dial(t.Context(), spec)
			if err == nil {
				defer c.Close()
			}
			errs <- err
		}()
	}
	for range 16 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
