package transport

import (
	"io"
	"strings"
	"testing"
)

func TestLocalCommandsDoNotInheritSecrets(t *testing.T) {
	t.Setenv("RUNNER_SECRET_X", "hunter2")
	t.Setenv("DB_PASSWORD", "hunter2")
	t.Setenv("https_proxy", "http://proxy.example.org:3128")
	c := Local()
	defer c.Close()
	p, err := c.Start(t.Context(), "env")
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(p.Stdout())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(p.Stderr()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "hunter2") || !strings.Contains(string(out), "PATH=") || !strings.Contains(string(out), "https_proxy=") {
		t.Errorf("the environment of a command is\n%s", out)
	}
}
