package run

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"runner/runtime/host"
	"runner/runtime/module"
)

func TestMaskerHidesEveryFormOfASecret(t *testing.T) {
	const secret = `p4ss/w+rd'"\ ü&x`
	m := NewMasker()
	m.Add(secret)
	asJSON, _ := json.Marshal(secret)
	for name, text := range map[string]string{
		"plain":       "mysql: access denied for " + secret + "!",
		"go quoted":   fmt.Sprintf("the string %q", secret),
		"json":        string(asJSON),
		"query":       "https://x/?p=" + url.QueryEscape(secret),
		"path":        "https://x/" + url.PathEscape(secret),
		"shell":       "echo " + host.Quote(secret),
		"sql":         "SET PASSWORD = '" + strings.ReplaceAll(secret, "'", "''") + "'",
		"hex":         hex.EncodeToString([]byte(secret)),
		"base64":      base64.StdEncoding.EncodeToString([]byte(secret)),
		"base64 url":  base64.URLEncoding.EncodeToString([]byte(secret)),
		"basic auth":  base64.StdEncoding.EncodeToString([]byte("root:" + secret)),
		"basic auth2": base64.StdEncoding.EncodeToString([]byte("ro:" + secret + "\n")),
		"basic auth3": base64.StdEncoding.EncodeToString([]byte("\x00admin\x00" + secret + "tail")),
	} {
		t.Run(name, func(t *testing.T) {
			got := m.Text(text)
			if !strings.Contains(got, module.Mask) {
				t.Errorf("%q became %q", text, got)
			}
			if strings.Contains(got, "p4ss") || strings.Contains(got, "cDRzcy93K3") {
				t.Errorf("the secret shows in %q", got)
			}
		})
	}
}

func TestMaskerShortSecrets(t *testing.T) {
	m := NewMasker()
	m.Add("ab", "", module.Mask)
	for text, want := range map[string]string{
		"tables about cabs":      "tables about cabs",
		"password=ab":            "password=" + module.Mask,
		"ab":                     module.Mask,
		"'ab' and ab, not abab.": "'" + module.Mask + "' and " + module.Mask + ", not abab.",
	} {
		if got := m.Text(text); got != want {
			t.Errorf("Text(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestMaskerLongestFirstAndLines(t *testing.T) {
	m := NewMasker()
	m.Add("hunter2", "hunter2hunter3")
	if got := m.Text("x hunter2hunter3 y hunter2"); got != "x "+module.Mask+" y "+module.Mask {
		t.Errorf("got %q", got)
	}
	m.Add("-----BEGIN KEY-----\nMIIEvQIBADANBg\nend\n")
	if got := m.Text("line 2 is MIIEvQIBADANBg at the end"); got != "line 2 is "+module.Mask+" at the end" {
		t.Errorf("got %q", got)
	}
}

func TestMaskerEvent(t *testing.T) {
	const secret = "hunter2!"
	m := NewMasker()
	m.Add(secret)
	e := Event{
		Kind: StepEnd, Recipe: secret, Title: secret, Source: secret, Text: secret, Note: secret, Error: secret, Hint: secret,
		Phase: "prepare", Task: "Copy", Hosts: []string{"old"},
		Changes:  []ChangeInfo{{Summary: secret, Before: secret, After: "x" + secret}},
		Kept:     &module.Original{Host: "old", Object: secret, Value: secret, Backup: secret},
		Saved:    map[string]any{"a": secret, "list": []any{secret, map[string]any{secret: 1.0}}},
		Detail:   map[string]any{"params": map[string]string{"p": secret}, "hosts": []string{secret}, "n": 3, "s": module.NewSecret(secret)},
		Progress: &module.Progress{Label: secret},
	}
	original := e
	text, err := json.Marshal(m.Event(e))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "hunter2") {
		t.Errorf("the secret shows: %s", text)
	}
	if !strings.Contains(string(text), `"phase":"prepare","task":"Copy"`) || !strings.Contains(string(text), `"n":3`) {
		t.Errorf("something else was lost: %s", text)
	}
	if original.Changes[0].Summary != secret || original.Kept.Value != secret {
		t.Error("the event that was given was changed: other goroutines may read it")
	}
}

func FuzzMasker(f *testing.F) {
	f.Add("hunter2", "say ", " twice")
	f.Add("a'b\"c", "", "\n")
	f.Add("ab", "x", "y")
	f.Fuzz(func(t *testing.T, secret, before, after string) {
		if len(secret) < shortest || strings.Contains(module.Mask, secret) || strings.Contains(secret, "*") {
			t.Skip()
		}
		m := NewMasker()
		m.Add(secret)
		if got := m.Text(before + secret + after); strings.Contains(got, secret) {
			t.Errorf("%q is seen in %q", secret, got)
		}
	})
}
