package main

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// BenchmarkStart measures what an operator waits for before anything is done: the whole process, from its start to its end. The time
// to reach is 20 ms.
func BenchmarkStart(b *testing.B) {
	program := filepath.Join(b.TempDir(), "runner")
	if out, err := exec.Command("go", "build", "-o", program, "runner/cmd/runner").CombinedOutput(); err != nil {
		b.Fatalf("cannot build runner: %v\n%s", err, out)
	}
	for _, c := range []struct {
		name string
		args []string
	}{
		{"version", []string{"--version"}},
		{"list", []string{"--list", "wheezy-jessie"}},
		{"lint", []string{"lint", "wheezy-jessie"}},
		{"complete", []string{"__complete", "wheezy-jessie", "--phase", ""}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				cmd := exec.Command(program, c.args...)
				cmd.Dir = b.TempDir()
				if out, err := cmd.Output(); err != nil && (c.name != "lint" || len(out) == 0) {
					b.Fatal(err)
				}
			}
		})
	}
}
