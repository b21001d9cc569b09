package recipe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// command runs a password manager on this machine and takes what it prints, without the last newline. It may ask for its own
// passphrase at the terminal. A text among secrets' commands is run by the shell, a list is not.
func (r SecretReader) command(ctx context.Context, argv []string) (string, error) {
	name := strings.Join(argv, " ")
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	if len(argv) == 1 {
		cmd = exec.CommandContext(ctx, "/bin/sh", "-c", argv[0])
	}
	cmd.Dir = r.Dir
	cmd.WaitDelay = time.Second // for what it left behind with its output still open
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	if ctx.Err() != nil {
		return "", fmt.Errorf("cannot read the secret with %s: %w", name, context.Cause(ctx))
	}
	if err != nil {
		var exit *exec.ExitError
		why := err.Error()
		if errors.As(err, &exit) {
			why = exit.String()
		}
		if lines := strings.Split(strings.TrimSpace(said.String()), "\n"); lines[0] != "" {
			why += ": " + lines[len(lines)-1]
		}
		return "", fmt.Errorf("cannot read the secret with %s: %s", name, why)
	}
	return withoutNewline(out.String()), nil
}

// named reads a secret that a recipe knows by its name only: where it comes from is the operator's business.
func (r SecretReader) named(ctx context.Context, name string) (string, error) {
	if s, ok := r.Named[name]; ok {
		if s.Name != "" {
			return "", fmt.Errorf("cannot read the secret %s: the site says that it is another secret of a name", name)
		}
		value, err := r.Read(ctx, s)
		return value.Reveal(), err
	}
	variable := SecretVariable(name)
	if text, ok := r.lookup(variable); ok {
		return text, nil
	}
	if r.Prompt != nil {
		return r.ask(ctx, "Secret "+name+":")
	}
	return "", &unknownSecretError{name: name, variable: variable}
}

// SecretVariable is the environment variable in which a secret of a name is looked for: RUNNER_SECRET_MAIL_DB for "mail-db".
func SecretVariable(name string) string {
	return "RUNNER_SECRET_" + strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(name))
}

// unknownSecretError says that nobody gave a secret, and how it can be given.
type unknownSecretError struct{ name, variable string }

func (e *unknownSecretError) Error() string {
	return fmt.Sprintf("cannot read the secret %q: the site does not have it, the environment variable %s is not set, and nobody is there to be asked", e.name, e.variable)
}

// Hint gives the line to add to the site.
func (e *unknownSecretError) Hint() string {
	return fmt.Sprintf("write into site.lua: secrets = { [%q] = secret { command = { \"pass\", \"show\", %q } } }, or { file = \"…\" } or { env = \"…\" }", e.name, e.name)
}

func withoutNewline(text string) string {
	return strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
}
