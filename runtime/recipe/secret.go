package recipe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	lua "github.com/yuin/gopher-lua"

	"runner/runtime/module"
)

// SecretSource says where a secret comes from; one field is set. Its printed form is a mask, so that it can stand
// among values that are shown.
type SecretSource struct {
	Env    string // name of an environment variable
	File   string // path; what the file holds without the last newline
	Prompt string // question to ask
	// Command is a program that prints the secret, with its arguments; one text alone is run by /bin/sh.
	Command []string
	Name    string        // what the recipe calls it; the operator says where it is
	Value   module.Secret // the secret itself, as a site may write it
}

// MarshalText gives the mask.
func (s SecretSource) MarshalText() ([]byte, error) { return []byte(module.Mask), nil }
func (s SecretSource) String() string               { return module.Mask }

// GoString gives the mask.
func (s SecretSource) GoString() string { return module.Mask }

// SecretReader reads secrets where they are kept, each when it is first needed. The zero value reads the environment and files
// and cannot ask.
type SecretReader struct {
	Env    func(name string) (string, bool)                           // nil: [os.LookupEnv]
	Dir    string                                                     // where relative paths of files begin
	Prompt func(ctx context.Context, question string) (string, error) // nil: nobody is there to be asked
	Named  map[string]SecretSource                                    // what the site says of secrets that recipes know by name
}

// Read gives the secret. An empty one is an error, because it is always a mistake.
func (r SecretReader) Read(ctx context.Context, s SecretSource) (module.Secret, error) {
	text, err := r.text(ctx, s)
	if err != nil {
		return module.Secret{}, err
	}
	if text == "" {
		return module.Secret{}, fmt.Errorf("cannot use the secret from %s: it is empty", s.origin())
	}
	return module.NewSecret(text), nil
}

func (r SecretReader) text(ctx context.Context, s SecretSource) (string, error) {
	switch {
	case s.Env != "":
		text, ok := r.lookup(s.Env)
		if !ok {
			return "", fmt.Errorf("cannot read the secret: the environment variable %s is not set", s.Env)
		}
		return text, nil
	case s.File != "":
		return r.file(s.File)
	case len(s.Command) > 0:
		return r.command(ctx, s.Command)
	case s.Name != "":
		return r.named(ctx, s.Name)
	case !s.Value.IsZero():
		return s.Value.Reveal(), nil
	case r.Prompt == nil:
		return "", fmt.Errorf("cannot ask for the secret %q: nobody is there to answer; give it as secret { env = … } or secret { file = … }", s.Prompt)
	}
	return r.ask(ctx, s.Prompt)
}

func (r SecretReader) lookup(variable string) (string, bool) {
	if r.Env != nil {
		return r.Env(variable)
	}
	return os.LookupEnv(variable)
}

func (r SecretReader) ask(ctx context.Context, question string) (string, error) {
	text, err := r.Prompt(ctx, question)
	if err != nil {
		return "", fmt.Errorf("cannot ask for the secret %q: %w", question, err)
	}
	return text, nil
}

func (r SecretReader) file(path string) (string, error) {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("cannot read the secret from %s: %w", path, err)
		}
		path = filepath.Join(home, rest)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.Dir, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return "", fmt.Errorf("cannot read the secret from %s: %w", path, err)
	}
	return withoutNewline(string(text)), nil
}

func (s SecretSource) origin() string {
	switch {
	case s.Env != "":
		return "the environment variable " + s.Env
	case s.File != "":
		return s.File
	case len(s.Command) > 0:
		return strings.Join(s.Command, " ")
	case s.Name != "":
		return "the name " + s.Name
	case s.Prompt == "":
		return "the site"
	}
	return fmt.Sprintf("the answer to %q", s.Prompt)
}

// secret is a secret among the values of Lua. It is read when it is first used.
type secret struct {
	source SecretSource

	mu    sync.Mutex
	known bool
	value module.Secret
}

func knownSecret(v module.Secret) *secret { return &secret{known: true, value: v} }

func (s *secret) read(ctx context.Context, r SecretReader) (module.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known {
		return s.value, nil
	}
	value, err := r.Read(ctx, s.source)
	if err == nil {
		s.value, s.known = value, true
	}
	return value, err
}

// reveal reads a secret, which may mean to wait for an answer.
func (m *machine) reveal(t *thread, s *secret) (value module.Secret, err error) {
	err = m.guarded(func() error {
		value, err = s.read(t, m.secrets)
		return err
	})
	return value, err
}

func (m *machine) secretValue(s *secret) *lua.LUserData { return m.userData(s, m.secretMeta) }

func secretOf(v lua.LValue) (*secret, bool) {
	u, ok := v.(*lua.LUserData)
	if !ok {
		return nil, false
	}
	s, ok := u.Value.(*secret)
	return s, ok
}

func (m *machine) defineSecret() {
	m.secretMeta = m.kind("a secret", func(any) string { return module.Mask }, func(*lua.LState, any, string) lua.LValue { return nil })
	m.secretMeta.RawSetString("__concat", m.state.NewFunction(func(l *lua.LState) int {
		joined := ""
		for i := 1; i <= 2; i++ {
			part, err := m.plain(l, l.Get(i))
			if err != nil {
				return m.raise(l, err)
			}
			joined += part
		}
		l.Push(m.secretValue(knownSecret(module.NewSecret(joined))))
		return 1
	}))
}

// plain is a value as text, the secrets in it shown: for what becomes a secret again.
func (m *machine) plain(l *lua.LState, v lua.LValue) (string, error) {
	if s, ok := secretOf(v); ok {
		value, err := m.reveal(threadOf(l), s)
		return value.Reveal(), err
	}
	return l.ToStringMeta(v).String(), nil
}

// defineSecretFunction adds secret { env = … } and secret "name".
func (m *machine) defineSecretFunction() {
	m.global("secret", func(l *lua.LState) int {
		const form = `secret "name", secret { env = "NAME" }, secret { file = "path" }, secret { command = { "pass", "show", "name" } } or secret { prompt = "question" }`
		if name, ok := l.Get(1).(lua.LString); ok && l.GetTop() == 1 && name != "" {
			l.Push(m.secretValue(m.namedSecret(string(name))))
			return 1
		}
		t, ok := l.Get(1).(*lua.LTable)
		if !ok || l.GetTop() != 1 {
			return m.mistake(l, "cannot make a secret of %s: the form is %s", shown(l.Get(1)), form)
		}
		k, err := keysOf("the table", t)
		if err != nil || len(k.names) != 1 {
			return m.mistake(l, "cannot make a secret: exactly one source is needed; the form is %s", form)
		}
		s, ok := sourceOf(k.names[0], t.RawGetString(k.names[0]))
		if !ok {
			return m.mistake(l, "cannot make a secret with %s = %s: the form is %s", k.names[0], shown(t.RawGetString(k.names[0])), form)
		}
		l.Push(m.secretValue(&secret{source: s}))
		return 1
	})
}

// sourceOf reads secret { field = v }.
func sourceOf(field string, v lua.LValue) (s SecretSource, ok bool) {
	if field == "command" {
		list, wrong := textList(v)
		s.Command, _ = list.([]string)
		return s, wrong == "" && len(s.Command) > 0 && s.Command[0] != ""
	}
	into := map[string]*string{"env": &s.Env, "file": &s.File, "prompt": &s.Prompt}[field]
	text, ok := v.(lua.LString)
	if into == nil || !ok || text == "" {
		return s, false
	}
	*into = string(text)
	return s, true
}

// namedSecret is the secret of a name: one for the whole recipe, so that it is read and asked for once.
func (m *machine) namedSecret(name string) *secret {
	if m.namedSecrets == nil {
		m.namedSecrets = map[string]*secret{}
	}
	if m.namedSecrets[name] == nil {
		m.namedSecrets[name] = &secret{source: SecretSource{Name: name}}
	}
	return m.namedSecrets[name]
}
