package main

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"runner/runtime/run"
)

// reportFile writes a report of a run to a file that only its owner may read: it says what configuration was before.
func reportFile(path string, r *run.Record, write func(io.Writer, *run.Record) error) error {
	if path == "" {
		return nil
	}
	var b bytes.Buffer
	if err := write(&b, r); err != nil {
		return fmt.Errorf("cannot make the report %s: %w", path, err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		return usage("cannot write the report %s: %w", path, reason(err))
	}
	return nil
}
