package host

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// MaxOutput is how many bytes a command run to its end may print on each of its outputs; what prints more is streamed.
const MaxOutput = 64 << 20

// frame is one command as the long-lived shell is given it: the random marker and "<" on both outputs, then what the
// command prints, then the marker with ">" and, on standard output, its exit status. Nothing of the command is left in
// the shell: it runs in a subshell.
//
// Each frame has a marker of its own. What something left behind by an earlier command prints between two frames is
// thereby skipped.
type frame struct {
	marker string
	text   string
	leader bool // the command's first line is the id of its process group
}

// leftBehind is the status of a frame that was refused because something of an earlier command still runs and might
// print into it. A real status is never negative.
const leftBehind = -1

// newFrame makes the frame of a command. With setsid, one that may change the host gets a process group of its own:
// a daemon it starts is then not ended with the shell. Group is that of the last such command of this shell, or 0.
func newFrame(c Command, sh string, setsid bool, group int) *frame {
	f := &frame{marker: randomWord(), leader: setsid && !c.Looking}
	var b strings.Builder
	if group > 0 {
		fmt.Fprintf(&b, "if kill -0 -%d 2>/dev/null;then printf '%s<%s>%d\\n';printf '%s<%s>\\n' >&2;else ", group, f.marker, f.marker, leftBehind, f.marker, f.marker)
	}
	fmt.Fprintf(&b, "printf '%s<\\n';printf '%s<\\n' >&2\n(", f.marker, f.marker)
	b.WriteString(setting(c))
	text, args, isScript := scriptOf(c)
	switch {
	case f.leader:
		b.WriteString(`set -- ` + Quote(c.Argv...) + `;exec setsid ` + Quote(sh) + ` -c 'echo $$;exec "$@"' sh "$@"`)
	case isScript: // this is a /bin/sh already
		b.WriteString(`set -- ` + Quote(args...) + `;eval ` + Quote(text))
	default:
		b.WriteString(`set -- ` + Quote(c.Argv...) + `;exec "$@"`)
	}
	fmt.Fprintf(&b, ")</dev/null\nprintf '%s>%%s\\n' \"$?\";printf '%s>\\n' >&2\n", f.marker, f.marker)
	if group > 0 {
		b.WriteString("fi\n")
	}
	f.text = b.String()
	return f
}

// setting is the shell text for the working directory and the environment of a command.
func setting(c Command) string {
	var b strings.Builder
	if c.Dir != "" {
		dir := c.Dir
		if strings.HasPrefix(dir, "-") {
			dir = "./" + dir
		}
		b.WriteString("cd " + Quote(dir) + "||exit;")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		b.WriteString(name + "=" + Quote(c.Env[name]) + ";export " + name + ";")
	}
	return b.String()
}

// scriptOf takes apart what [Script] made.
func scriptOf(c Command) (text string, args []string, ok bool) {
	if len(c.Argv) < 4 || c.Argv[0] != "/bin/sh" || c.Argv[1] != "-c" || c.Argv[3] != "sh" {
		return "", nil, false
	}
	return c.Argv[2], c.Argv[4:], true
}

// alone is the shell text of a command in a channel of its own, whose shell it replaces.
func alone(c Command) string {
	return setting(c) + "set -- " + Quote(c.Argv...) + `;exec "$@"`
}

// tape is one output of a shell, with what was read of it and not yet taken.
type tape struct {
	r   io.Reader
	buf []byte
}

// errTooMuch says that a command printed more than MaxOutput.
var errTooMuch = fmt.Errorf("it printed more than %d MiB, too much to keep", MaxOutput>>20)

// readFrame reads up to the end of a frame. Begun says whether its begin was seen. Line, when not nil, is given the
// first line of the data as soon as it is there; that line is not part of the data.
func (t *tape) readFrame(marker string, line func(string)) (data []byte, trailer string, begun bool, err error) {
	if err := t.skipPast([]byte(marker + "<")); err != nil {
		return nil, "", false, err
	}
	// A newline follows unless the frame was refused, which its end then says at once.
	if err := t.fill(1); err != nil {
		return nil, "", false, err
	}
	if t.buf[0] == '\n' {
		t.buf = t.buf[1:]
		if line != nil {
			if data, err := t.firstLine(marker, line); err != nil {
				return data, "", true, err
			}
		}
	}
	data, err = t.until([]byte(marker + ">"))
	if err != nil {
		return data, "", true, err
	}
	rest, err := t.until([]byte("\n"))
	return data, string(rest), true, err
}

// firstLine hands over the first line of a frame's data, if it has one.
func (t *tape) firstLine(marker string, hand func(string)) ([]byte, error) {
	for {
		end, over := bytes.IndexByte(t.buf, '\n'), bytes.Index(t.buf, []byte(marker+">"))
		if over >= 0 && (end < 0 || over < end) {
			return nil, nil
		}
		if end >= 0 {
			if _, err := strconv.Atoi(string(t.buf[:end])); err != nil {
				return nil, nil // setsid itself failed and this is data
			}
			hand(string(t.buf[:end]))
			t.buf = t.buf[end+1:]
			return nil, nil
		}
		if err := t.more(); err != nil {
			return t.buf, err
		}
	}
}

func (t *tape) skipPast(word []byte) error {
	for {
		if i := bytes.Index(t.buf, word); i >= 0 {
			t.buf = t.buf[i+len(word):]
			return nil
		}
		if keep := len(word) - 1; len(t.buf) > keep {
			t.buf = t.buf[len(t.buf)-keep:]
		}
		if err := t.more(); err != nil {
			return err
		}
	}
}

func (t *tape) fill(n int) error {
	for len(t.buf) < n {
		if err := t.more(); err != nil {
			return err
		}
	}
	return nil
}

// until takes what stands before a word, and the word. On an error it returns what there was.
func (t *tape) until(word []byte) ([]byte, error) {
	from := 0
	for {
		if i := bytes.Index(t.buf[from:], word); i >= 0 {
			data := t.buf[:from+i]
			t.buf = t.buf[from+i+len(word):]
			if len(data) > 64<<10 { // the big buffer goes with the data
				t.buf = bytes.Clone(t.buf)
				return data, nil
			}
			return bytes.Clone(data), nil
		}
		from = max(0, len(t.buf)-len(word)+1)
		if len(t.buf) > MaxOutput {
			return t.buf[:MaxOutput], errTooMuch
		}
		if err := t.more(); err != nil {
			return t.buf, err
		}
	}
}

func (t *tape) more() error {
	t.buf = slices.Grow(t.buf, 16<<10)
	n, err := t.r.Read(t.buf[len(t.buf):cap(t.buf)])
	t.buf = t.buf[:len(t.buf)+n]
	if n > 0 {
		return nil
	}
	return err
}

// outputOf is what a frame came to.
func outputOf(stdout, stderr []byte, trailer string) (Output, error) {
	status, err := strconv.Atoi(trailer)
	if err != nil {
		return Output{}, fmt.Errorf("its shell said %q instead of an exit status", trailer)
	}
	return Output{Stdout: string(stdout), Stderr: string(stderr), Status: status}, nil
}
