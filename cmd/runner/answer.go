package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"runner/runtime/module"
	"runner/runtime/run"
)

func newAnswerCommand() *cobra.Command {
	return steering(&cobra.Command{
		Use:   "answer yes|no",
		Short: "Answer the question at which the run waits",
		Long: `Answers the question at which the run that is going on waits, from another
terminal and by somebody else (as the user of the run, or root). The answer and
who gave it are recorded. runner status shows the question. A run without a
terminal waits for this when it was begun with --wait.`,
		Args:      cobra.ArbitraryArgs,
		ValidArgs: []string{"yes", "no"},
	}, func(args []string) (run.Request, error) {
		if len(args) != 1 || args[0] != "yes" && args[0] != "no" {
			return run.Request{}, usage("cannot answer: say yes or no")
		}
		return run.Request{Do: "answer", Yes: args[0] == "yes", Who: whoami()}, nil
	}, func(r run.Reply) string {
		if !r.Was {
			return "No question waits for an answer."
		}
		return "Answered."
	})
}

// whoami names the person: behind sudo the one who called it.
func whoami() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return fmt.Sprintf("uid %d", os.Getuid())
}

// answers reads the file of answers each time it is asked, so that somebody may write into it while the run waits. A file that is
// wrong from the beginning is told before anything is run.
func (j *job) answers(l *loaded) (func(phase string) (*run.Answer, error), error) {
	if j.gates == "" {
		return nil, nil
	}
	var phases []string
	for _, p := range l.program.Phases() {
		phases = append(phases, p.Name)
	}
	read := func() (map[string]run.Answer, error) {
		text, err := os.ReadFile(j.gates)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil // it may come later
		}
		if err != nil {
			return nil, usage("cannot read the answers in %s: %w", j.gates, reason(err))
		}
		return parseAnswers(j.gates, string(text), phases)
	}
	if _, err := read(); err != nil {
		return nil, err
	}
	return func(phase string) (*run.Answer, error) {
		all, err := read()
		if err != nil {
			return nil, err
		}
		if a, ok := all[phase]; ok {
			return &a, nil
		}
		return nil, nil
	}, nil
}

// parseAnswers reads lines of the form "PHASE yes" and "PHASE no"; what follows is a remark, as are lines that begin with #.
func parseAnswers(file, text string, phases []string) (map[string]run.Answer, error) {
	answers := map[string]run.Answer{}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		at := fmt.Sprintf("%s:%d", file, i+1)
		phase := longestPrefix(line, phases)
		words := strings.Fields(strings.TrimPrefix(line, phase))
		switch {
		case phase == "":
			name := strings.Fields(line)[0]
			hint := ""
			if near := module.Nearest(name, slices.Clone(phases)); near != "" {
				hint = fmt.Sprintf("; did you mean %q?", near)
			}
			return nil, usage("cannot read %s: the recipe has no phase %q%s", at, name, hint)
		case len(words) == 0, words[0] != "yes" && words[0] != "no":
			return nil, usage("cannot read %s: it must be %q or %q", at, phase+" yes", phase+" no")
		}
		from := at
		if rest := strings.Join(words[1:], " "); rest != "" {
			from += ": " + rest
		}
		answers[phase] = run.Answer{Yes: words[0] == "yes", From: from}
	}
	return answers, nil
}

// longestPrefix finds the phase that a line names; a name may have spaces in it.
func longestPrefix(line string, phases []string) (found string) {
	for _, p := range phases {
		if rest, ok := strings.CutPrefix(line, p); ok && (rest == "" || rest[0] == ' ' || rest[0] == '\t') && len(p) > len(found) {
			found = p
		}
	}
	return found
}
