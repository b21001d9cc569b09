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
		lookup := r.Env
		if lookup == nil {
			lookup = os.LookupEnv
		}
		text, ok := lookup(s.Env)
		if !ok {
			return "", fmt.Errorf("cannot read the secret: the environment variable %s is not set", s.Env)
		}
		return text, nil
	case s.File != "":
		return r.file(s.File)
	case r.Prompt == nil:
		return "", fmt.Errorf("cannot ask for the secret %q: nobody is there to answer; give it as secret { env = … } or secret { file = … }", s.Prompt)
	}
	text, err := r.Prompt(ctx, s.Prompt)
	if err != nil {
		return "", fmt.Errorf("cannot ask for the secret %q: %w", s.Prompt, err)
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
	return strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"), nil
}

func (s SecretSource) origin() string {
	switch {
	case s.Env != "":
		return "the environment variable " + s.Env
	case s.File != "":
		return s.File
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

// defineSecretFunction adds secret { env = … }.
func (m *machine) defineSecretFunction() {
	m.global("secret", func(l *lua.LState) int {
		const form = `secret { env = "NAME" }, secret { file = "path" } or secret { prompt = "question" }`
		t, ok := l.Get(1).(*lua.LTable)
		if !ok || l.GetTop() != 1 {
			return m.mistake(l, "cannot make a secret of %s: the form is %s", shown(l.Get(1)), form)
		}
		var s SecretSource
		k, err := keysOf("the table", t)
		if err != nil || len(k.names) != 1 {
			return m.mistake(l, "cannot make a secret: exactly one source is needed; the form is %s", form)
		}
		into := map[string]*string{"env": &s.Env, "file": &s.File, "prompt": &s.Prompt}[k.names[0]]
		text, ok := t.RawGetString(k.names[0]).(lua.LString)
		if into == nil || !ok || text == "" {
			return m.mistake(l, "cannot make a secret with %s = %s: the form is %s", k.names[0], shown(t.RawGetString(k.names[0])), form)
		}
		*into = string(text)
		l.Push(m.secretValue(&secret{source: s}))
		return 1
	})
}
