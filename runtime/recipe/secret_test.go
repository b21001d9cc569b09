package recipe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"runner/runtime/module"
)

func TestSecretsStaySecret(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pw"), []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	asked := 0
	reader := SecretReader{
		Env: func(name string) (string, bool) {
			if name == "RUNNER_SECRET_OF_THE_ENVIRONMENT" {
				return "from-own-env", true
			}
			return "from-env", name == "PW"
		},
		Named: map[string]SecretSource{"listed": {File: "pw"}, "written": {Value: module.NewSecret("in the site")}},
		Dir:   dir,
		Prompt: func(_ context.Context, question string) (string, error) {
			asked++
			return "answer to " + question, nil
		},
	}
	tests := []struct{ expr, value string }{
		{`secret { env = "PW" }`, "from-env"},
		{`secret { file = "pw" }`, "from-file"},
		{`secret { prompt = "why" }`, "answer to why"},
		{`secret { command = { "printf", "from %s\\n", "command" } }`, "from command"},
		{`secret { command = "printf 'from shell\\nmore' | head -1" }`, "from shell"},
		{`secret "listed"`, "from-file"},
		{`secret "written"`, "in the site"},
		{`secret "of the environment"`, "from-own-env"},
		{`secret "unlisted"`, "answer to Secret unlisted:"},
		{`"user:" .. secret { env = "PW" } .. "@host" .. 1`, "user:from-env@host1"},
		{`secret { env = "PW" } .. secret { file = "pw" }`, "from-envfrom-file"},
		{`("%s/%d"):format(secret { env = "PW" }, 5)`, "from-env/5"},
		{`table.concat({ "a", secret { env = "PW" } }, "-")`, "a-from-env"},
		{`params.pw`, "from-site"},
	}
	for _, tt := range tests {
		r := mustLoad(t, `recipe { name = "x", hosts = { old = "o", new = "n" }, params = { pw = { type = "secret" } } }
task("x", function()
  local pw = `+tt.expr+`
  say(pw, tostring(pw), type(pw))
  mysql.query { on = hosts.old, password = pw }
  mysql.query { on = hosts.old, password = pw }
  error("it was " .. tostring(pw))
end)`, func(o *Options) {
			o.Secrets = reader
			o.Resolve = func(Declaration) (Inputs, error) {
				in := testInputs()
				in.Params = map[string]any{"pw": module.NewSecret("from-site")}
				return in, nil
			}
		})
		e := &recorder{}
		err := runAll(t, r, e)
		if err == nil || strings.Contains(err.Error(), tt.value) {
			t.Errorf("%s: error %v", tt.expr, err)
		}
		if want := []string{"********\t********\tuserdata"}; !slices.Equal(e.said, want) {
			t.Errorf("%s: said %q", tt.expr, e.said)
		}
		for _, s := range e.steps {
			if got, ok := s.Values["password"].(module.Secret); !ok || got.Reveal() != tt.value {
				t.Errorf("%s: the module got %#v", tt.expr, s.Values["password"])
			}
		}
	}
	if asked != 2 { // once for each of two questions
		t.Errorf("the question was asked %d times", asked)
	}
}

func TestSecretReaderErrors(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "empty"), []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("closed")
	r := SecretReader{Dir: dir, Env: func(string) (string, bool) { return "", false }, Prompt: func(context.Context, string) (string, error) { return "", refused }}
	tests := []struct {
		source SecretSource
		want   string
	}{
		{SecretSource{Env: "PW"}, "cannot read the secret: the environment variable PW is not set"},
		{SecretSource{File: "none"}, "cannot read the secret from " + filepath.Join(dir, "none") + ": no such file or directory"},
		{SecretSource{File: "empty"}, "cannot use the secret from empty: it is empty"},
		{SecretSource{Prompt: "Password"}, `cannot ask for the secret "Password": closed`},
	}
	for _, tt := range tests {
		if _, err := r.Read(t.Context(), tt.source); err == nil || err.Error() != tt.want {
			t.Errorf("got  %v\nwant %s", err, tt.want)
		}
	}
}

func TestSecretSourceIsNotShown(t *testing.T) {
	s := SecretSource{Prompt: "hunter2?"}
	text, err := json.Marshal(map[string]any{"pw": s})
	if err != nil {
		t.Fatal(err)
	}
	for _, got := range []string{string(text), fmt.Sprint(s), fmt.Sprintf("%#v", s), fmt.Sprintf("%+v", s)} {
		if strings.Contains(got, "hunter2") {
			t.Errorf("shown: %s", got)
		}
	}
}
