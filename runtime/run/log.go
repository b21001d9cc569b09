package run

import (
	"bytes"
	"fmt"
	"os"
	"time"
)

// logReporter writes a run as a person sees it to a file, in full and with the time before each line.
type logReporter struct {
	*Terminal
	f *os.File
}

const logWidth = 140

func openLog(path string, now func() time.Time) (*logReporter, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot write the log %s: %w", path, reason(err))
	}
	out := &stampedWriter{f: f, now: now, fresh: true}
	return &logReporter{NewTerminal(TerminalOptions{Out: out, Width: logWidth, Diff: true, Verbose: true}), f}, nil
}

func (l *logReporter) Close() error {
	err := l.Terminal.Close()
	if closed := l.f.Close(); err == nil {
		err = closed
	}
	return err
}

// stampedWriter puts the time before each line. The Terminal that writes to it does one call at a time.
type stampedWriter struct {
	f     *os.File
	now   func() time.Time
	fresh bool // at the beginning of a line
}

func (w *stampedWriter) Write(p []byte) (int, error) {
	stamp := w.now().Format("2006-01-02 15:04:05  ")
	var b bytes.Buffer
	for line := range bytes.Lines(p) {
		if w.fresh && len(line) > 1 {
			b.WriteString(stamp)
		}
		b.Write(line)
		w.fresh = bytes.HasSuffix(line, []byte{'\n'})
	}
	if _, err := w.f.Write(b.Bytes()); err != nil {
		return 0, err
	}
	return len(p), nil
}
