package hosttest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"runner/runtime/host"
)

// Answer is what a command comes to.
type Answer struct {
	Stdout string
	Stderr string
	Status int
	Err    error // instead of all else: the host was lost, say

	// Do, when set, is called with the command and its input and gives the answer; f can be asked and changed with it.
	Do func(f *Fake, c host.Command, stdin string) Answer
}

// answer is a declared command.
type answer struct {
	words   []word
	after   string // holds once this command has run; empty: from the beginning
	changes bool
	Answer
	used bool
}

// later is what is done to the file tree when a command has run.
type later struct {
	after string
	do    func(*tree) error
}

// Looks declares a command that changes nothing, as one would type it: "postconf -n", "systemctl show 'a b'". An
// unquoted * stands for any one word and a last ... for any words. A script is typed as @NAME with its arguments, NAME
// being one given to [Fake.Script], or as "sh: " with its first line and its arguments. When a command is declared
// several times, the answers are given in their order, and the last one again and again.
func (f *Fake) Looks(command string, a Answer) *Fake { return f.declare(command, "", false, a) }

// Changes declares a command that changes the host; see [Fake.Looks]. A View that runs it gets an error.
func (f *Fake) Changes(command string, a Answer) *Fake { return f.declare(command, "", true, a) }

// LooksAfter is Looks for an answer that holds once another command, typed as it was declared, has run.
func (f *Fake) LooksAfter(after, command string, a Answer) *Fake {
	return f.declare(command, after, false, a)
}

// Default declares an answer for when no other is declared: how a kind of host behaves by itself. Of several the last one holds. Whether
// it changes the host is known from how it is run.
func (f *Fake) Default(command string, a Answer) *Fake {
	words, err := split(command)
	if err != nil {
		panic(fmt.Sprintf("hosttest: cannot declare %s: %v", command, err))
	}
	return f.set(func() { f.defaults = append(f.defaults, &answer{words: words, Answer: a}) })
}

func (f *Fake) declare(command, after string, changes bool, a Answer) *Fake {
	words, err := split(command)
	if err != nil {
		panic(fmt.Sprintf("hosttest: cannot declare %s: %v", command, err))
	}
	return f.set(func() {
		f.answers = append(f.answers, &answer{words: words, after: canonical(after), changes: changes, Answer: a})
	})
}

// Script gives a script's text a short name to declare it by.
func (f *Fake) Script(name, text string) *Fake { return f.set(func() { f.scripts[text] = name }) }

// typed is a command as words: those of its argv, or of a script its name and arguments.
func (f *Fake) typed(c host.Command) []string {
	if len(c.Argv) < 4 || c.Argv[0] != "/bin/sh" || c.Argv[1] != "-c" || c.Argv[3] != "sh" {
		return c.Argv
	}
	if name, ok := f.scripts[c.Argv[2]]; ok {
		return append([]string{"@" + name}, c.Argv[4:]...)
	}
	first, _, _ := strings.Cut(strings.TrimSpace(c.Argv[2]), "\n")
	return append([]string{"sh: " + first}, c.Argv[4:]...)
}

// find looks for the answer to a command: of those that hold after something, the ones declared last come first.
func (f *Fake) find(words []string) *answer {
	var found []*answer
	layer := ""
	for _, a := range f.answers {
		if a.after != "" && !f.ran[a.after] || !match(a.words, words) {
			continue
		}
		if a.after != layer {
			found, layer = nil, a.after
		}
		found = append(found, a)
	}
	if len(found) == 0 {
		for _, a := range slices.Backward(f.defaults) {
			if match(a.words, words) {
				return a
			}
		}
		return nil
	}
	for _, a := range found {
		if !a.used {
			a.used = true
			return a
		}
	}
	return found[len(found)-1]
}

// run is a command from its record to its answer.
func (f *Fake) run(c host.Command, stdin string) (Answer, string, error) {
	f.mu.Lock()
	words := f.typed(c)
	line := show(words)
	a := f.find(words)
	if a == nil {
		err := fmt.Errorf("hosttest: nothing is declared on %s for the command: %s", f.name, line)
		f.problems = append(f.problems, err.Error())
		if !slices.Contains(f.unknown, line) {
			f.unknown = append(f.unknown, line)
		}
		f.record(Entry{Text: line, Command: true, Writes: !c.Looking, Stdin: stdin})
		f.mu.Unlock()
		return Answer{}, line, err
	}
	if a.changes && c.Looking {
		err := fmt.Errorf("hosttest: a view of %s ran a command that changes it: %s", f.name, line)
		f.problems = append(f.problems, err.Error())
		f.mu.Unlock()
		return Answer{}, line, err
	}
	f.record(Entry{Text: line, Command: true, Writes: a.changes, Stdin: stdin})
	given, key := a.Answer, showWords(a.words)
	f.mu.Unlock()
	if given.Do != nil {
		given = given.Do(f, c, stdin)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if given.Err == nil && given.Status == 0 {
		if err := f.happened(key); err != nil {
			return Answer{}, line, err
		}
	}
	return given, line, given.Err
}

// happened does to the file tree what a command does that has run.
func (f *Fake) happened(key string) error {
	f.ran[key] = true
	for _, l := range f.later {
		if l.after != key {
			continue
		}
		f.remember()
		if err := l.do(f.tree); err != nil {
			return err
		}
	}
	return nil
}

// Exec implements [host.Backend].
func (f *Fake) Exec(ctx context.Context, c host.Command) (host.Output, error) {
	if err := ctx.Err(); err != nil {
		return host.Output{}, context.Cause(ctx)
	}
	var stdin []byte
	if c.Stdin != nil {
		var err error
		if stdin, err = io.ReadAll(c.Stdin); err != nil {
			return host.Output{}, err
		}
	}
	a, line, err := f.run(c, string(stdin))
	if err != nil {
		return host.Output{}, err
	}
	out := host.Output{Stdout: a.Stdout, Stderr: a.Stderr, Status: a.Status}
	if a.Status != 0 {
		return out, &host.ExitError{Command: line, Status: a.Status, Stderr: a.Stderr}
	}
	return out, nil
}

// Start implements [host.Backend]. The answer is looked up when the command's input was closed or its output is read,
// whichever comes first.
func (f *Fake) Start(ctx context.Context, c host.Command) (host.Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	p := &process{fake: f, command: c}
	if c.Stdin != nil {
		data, err := io.ReadAll(c.Stdin)
		if err != nil {
			return nil, err
		}
		p.in.Write(data)
	}
	return p, nil
}

type process struct {
	fake    *Fake
	command host.Command
	in      bytes.Buffer
	once    sync.Once
	line    string
	answer  Answer
	err     error
	out     io.Reader
	errs    io.Reader
}

func (p *process) run() {
	p.once.Do(func() {
		p.answer, p.line, p.err = p.fake.run(p.command, p.in.String())
		p.out, p.errs = strings.NewReader(p.answer.Stdout), strings.NewReader(p.answer.Stderr)
	})
}

type input struct{ *process }

func (i input) Write(b []byte) (int, error) { return i.in.Write(b) }
func (i input) Close() error {
	i.run()
	return nil
}

type output struct {
	*process
	second bool
}

func (o output) Read(b []byte) (int, error) {
	o.run()
	if o.second {
		return o.errs.Read(b)
	}
	return o.out.Read(b)
}

func (p *process) Stdin() io.WriteCloser { return input{p} }
func (p *process) Stdout() io.Reader     { return output{p, false} }
func (p *process) Stderr() io.Reader     { return output{p, true} }
func (p *process) Close() error          { return nil }

func (p *process) Wait() error {
	p.run()
	if p.err == nil && p.answer.Status != 0 {
		return &host.ExitError{Command: p.line, Status: p.answer.Status}
	}
	return p.err
}
