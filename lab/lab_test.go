package lab_test

import (
	"testing"

	"runner/lab"
	"runner/lab/labtest"
)

// network of the labs of this package's tests.
const network = "198.18.20.0/24"

func TestMain(m *testing.M) { labtest.Main(m) }

// TestLab boots one lab for all that can be looked at in it.
func TestLab(t *testing.T) {
	l := labtest.Open(t, labtest.Options{Name: "ltest", Network: network})
	t.Run("every host serves", func(t *testing.T) {
		_, hosts, err := lab.Status(t.Context(), l.Options)
		if err != nil {
			t.Fatal(err)
		}
		if len(hosts) != 3 {
			t.Errorf("the lab has %d hosts, not dns, old and new", len(hosts))
		}
		for _, h := range hosts {
			if h.PID == 0 {
				t.Errorf("%s is off", h.Host.Name)
			}
			for service, problem := range h.Serving {
				if problem != "" {
					t.Errorf("%s: %s: %s", h.Host.Name, service, problem)
				}
			}
		}
	})
}
