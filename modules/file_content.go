package modules

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"runner/runtime/host"
	"runner/runtime/module"
)

const (
	largestShown   = 64 << 10 // bytes of a file that are shown as they are
	secretContent  = "(not shown: it holds a secret)"
	privateContent = "(not shown: not everybody on the host may read it)"
)

// showContent is a file as a difference shows it: its text, or for what is no text or very long its length and hash.
func showContent(data []byte) string {
	if len(data) > largestShown || !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 {
		return fmt.Sprintf("%s, sha256 %x", countOf(len(data), "byte"), sha256.Sum256(data))
	}
	return string(data)
}

// planContent makes the file what it should be.
func (w *fileWork) planContent(ctx context.Context) ([]module.Change, error) {
	if w.info != nil && !w.info.Mode.IsRegular() {
		return nil, fmt.Errorf("cannot write %s on %s: it is %s, not a file", w.path, w.view.Name(), kindOf(w.info.Mode))
	}
	if w.info == nil {
		if err := w.needsFolder(ctx); err != nil {
			return nil, err
		}
	}
	w.hidePrivate()
	before, err := w.read(ctx)
	if err != nil {
		return nil, err
	}
	after, what, err := w.wanted(before)
	if err != nil {
		return nil, err
	}
	if w.info != nil && (after == nil || before != nil && bytes.Equal(before, after)) {
		return w.planAttr(), nil
	}
	return []module.Change{w.contentChange(before, after, what)}, nil
}

// hidePrivate keeps out of the difference, and by that out of the journal, what on the host itself not everybody may read:
// such files hold passwords and keys.
func (w *fileWork) hidePrivate() {
	if w.info != nil && w.info.Mode.Perm()&0o004 == 0 || w.mode != nil && w.mode.Perm()&0o004 == 0 {
		w.hidden = privateContent
	}
}

// read is what is in the file; nil when there is none, or when it is so much larger than what is wanted that it need not be read.
func (w *fileWork) read(ctx context.Context) ([]byte, error) {
	a := w.args
	if w.info == nil || w.info.Size > host.MaxReadFile && a.Line == nil && a.Without == "" {
		return nil, nil
	}
	if a.Content == nil && a.Template == nil && a.Line == nil && a.Without == "" {
		return nil, nil
	}
	if w.seen != nil {
		return w.seen, nil
	}
	data, err := w.view.ReadFile(ctx, w.path)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s on %s: %w", w.path, w.view.Name(), why(err))
	}
	if data == nil {
		data = []byte{}
	}
	return data, nil
}

// wanted is the content that the file is to have, nil: as it is; and for a single line what is done.
func (w *fileWork) wanted(before []byte) (after []byte, what string, err error) {
	a := w.args
	switch {
	case a.Content != nil:
		if s, ok := a.Content.(module.Secret); ok {
			w.hidden = secretContent
			return []byte(s.Reveal()), "", nil
		}
		return []byte(a.Content.(string)), "", nil
	case a.Template != nil:
		after, err = w.render()
		return after, "", err
	case a.Line != nil || a.Without != "":
		if w.info == nil && !a.Create {
			if a.Line == nil {
				return nil, "", module.Absent(fmt.Errorf("cannot find %s on %s", w.path, w.view.Name()))
			}
			return nil, "", module.WithHint(module.Absent(fmt.Errorf("cannot find %s on %s", w.path, w.view.Name())),
				"create = true makes it with that line")
		}
		after, what = editLines(before, a)
		return after, what, nil
	case w.info == nil && a.Create:
		return []byte{}, "", nil
	case w.info == nil:
		return nil, "", module.WithHint(module.Absent(fmt.Errorf("cannot find %s on %s", w.path, w.view.Name())), "create = true makes an empty file")
	}
	return nil, "", nil
}

func (w *fileWork) contentChange(before, after []byte, what string) module.Change {
	attr := w.attr(0o644)
	if w.hidden == secretContent && w.info == nil && w.mode == nil {
		attr.Mode = 0o600
	}
	c := module.Change{Before: showContent(before), After: showContent(after)}
	switch {
	case w.info == nil:
		c.Summary = fmt.Sprintf("create %s (%s, mode %s)", w.path, countOf(len(after), "byte"), octal(attr.Mode))
	case what != "":
		c.Summary = fmt.Sprintf("%s in %s", what, w.path)
	default:
		c.Summary = fmt.Sprintf("write %s (%s)", w.path, countOf(len(after), "byte"))
		if w.mode != nil && *w.mode != w.info.Mode&modeBits {
			c.Summary = fmt.Sprintf("write %s (%s, mode %s)", w.path, countOf(len(after), "byte"), octal(attr.Mode))
		}
		c.Destroys = !w.args.Backup
	}
	if before == nil && w.info != nil {
		c.Before = countOf(w.info.Size, "byte")
	}
	if w.hidden != "" {
		c.After = w.hidden
		if w.info != nil {
			c.Before = countOf(w.info.Size, "byte") + " " + w.hidden
		}
	}
	c.Apply = func(ctx context.Context, do *module.Apply) error {
		h := do.Host(w.view)
		if w.info != nil {
			if err := w.keep(ctx, do); err != nil {
				return err
			}
		} else {
			do.Keep(module.Original{Host: w.view.Name(), Object: w.path, Value: "(was not there)"})
		}
		if err := h.WriteFile(ctx, w.path, after, attr); err != nil {
			return fmt.Errorf("cannot write %s on %s: %w", w.path, w.view.Name(), why(err))
		}
		return nil
	}
	return c
}

// needsFolder says when the folder of a new file is not there.
func (w *fileWork) needsFolder(ctx context.Context) error {
	dir := path.Dir(w.path)
	info, err := w.view.Stat(ctx, dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return module.WithHint(module.Absent(fmt.Errorf("cannot create %s on %s: the folder %s is not there", w.path, w.view.Name(), dir)),
			fmt.Sprintf("file { path = %q, state = \"directory\" } makes it", dir))
	case err != nil:
		return fmt.Errorf("cannot look at %s on %s: %w", dir, w.view.Name(), why(err))
	case !info.Mode.IsDir():
		return fmt.Errorf("cannot create %s on %s: %s is no folder", w.path, w.view.Name(), dir)
	}
	return nil
}

// render fills the template. What is secret among its values makes the whole file secret.
func (w *fileWork) render() ([]byte, error) {
	t, err := w.args.template()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := t.Execute(&out, w.templateValue(w.args.Vars)); err != nil {
		// The text of the error may quote a value.
		if w.hidden == secretContent {
			return nil, fmt.Errorf("cannot fill the template of %s: one of its values does not fit (not shown: they are secret)", w.path)
		}
		return nil, fmt.Errorf("cannot fill the template of %s: %w", w.path, err)
	}
	return out.Bytes(), nil
}

// templateValue makes a recipe's value one that a template prints as the recipe wrote it: 5000, not 5e+03.
func (w *fileWork) templateValue(v any) any {
	switch v := v.(type) {
	case module.Secret:
		w.hidden = secretContent
		return v.Reveal()
	case module.HostName:
		return string(v)
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v)
		}
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = w.templateValue(item)
		}
		return list
	case map[string]any:
		table := map[string]any{}
		for k, item := range v {
			table[k] = w.templateValue(item)
		}
		return table
	}
	return v
}

// editLines takes lines out and puts one in, and says in a few words what it did.
func editLines(before []byte, a *fileArgs) (after []byte, what string) {
	lines := strings.SplitAfter(string(before), "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	end := "\n"
	if len(lines) > 0 && strings.HasSuffix(lines[0], "\r\n") {
		end = "\r\n"
	}
	bare := func(line string) string { return strings.TrimRight(line, "\r\n") }
	if a.Without != "" {
		pattern, had := regexp.MustCompile(a.Without), len(lines)
		lines = slices.DeleteFunc(lines, func(line string) bool {
			return pattern.MatchString(bare(line)) && (a.Line == nil || bare(line) != *a.Line)
		})
		if n := had - len(lines); n > 0 {
			what = fmt.Sprintf("take out %d lines that match %s", n, a.Without)
		}
	}
	if a.Line == nil {
		return []byte(strings.Join(lines, "")), what
	}
	there := slices.ContainsFunc(lines, func(line string) bool { return bare(line) == *a.Line })
	at := -1
	if pattern := regexp.MustCompile(a.Match); a.Match != "" && (!there || pattern.MatchString(*a.Line)) {
		// A pattern that does not match the line itself ("^#Port") has done its work when the line is there.
		at = lastMatch(lines, pattern)
	}
	switch {
	case at >= 0 && bare(lines[at]) != *a.Line:
		lines[at], what = *a.Line+end, fmt.Sprintf("set line %q", *a.Line)
	case at < 0 && !there:
		if n := len(lines); n > 0 && !strings.HasSuffix(lines[n-1], "\n") {
			lines[n-1] += end
		}
		lines = slices.Insert(lines, insertAt(lines, a.After), *a.Line+end)
		what = fmt.Sprintf("add line %q", *a.Line)
	}
	return []byte(strings.Join(lines, "")), what
}

func insertAt(lines []string, after string) int {
	if after != "" {
		if at := lastMatch(lines, regexp.MustCompile(after)); at >= 0 {
			return at + 1
		}
	}
	return len(lines)
}

func lastMatch(lines []string, pattern *regexp.Regexp) int {
	for i := len(lines) - 1; i >= 0; i-- {
		if pattern.MatchString(strings.TrimRight(lines[i], "\r\n")) {
			return i
		}
	}
	return -1
}

func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a folder"
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	case mode.IsRegular():
		return "a file"
	}
	return "a device, pipe or socket"
}
