package run

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"runner/runtime/host"
	"runner/runtime/module"
)

// Masker hides the secrets of a run in everything that is told of it. It may be used from several goroutines.
type Masker struct {
	mu    sync.RWMutex
	known map[string]bool
	forms []string // longest first, so that no form is cut short by one it contains
	short []string // secrets of less than shortest bytes: hidden only where they stand alone
}

const (
	// shortest is the least length of a secret that is hidden also inside of words: a password "a" would else take
	// every a out of the output, and by that tell what it is.
	shortest = 4
	// shortestCore is the least length of a piece of base64 that is taken for a secret.
	shortestCore = 8
)

// NewMasker makes a masker that knows no secret yet.
func NewMasker() *Masker { return &Masker{known: map[string]bool{}} }

// Add makes secrets known. Each is hidden in its own form and as it looks quoted for a shell, SQL, JSON or Go, in a URL, in
// hexadecimal and in base64, there also as a part of something longer. Of a secret with several lines each line is hidden too.
func (m *Masker) Add(secrets ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := len(m.known)
	for _, s := range secrets {
		m.add(s)
	}
	if len(m.known) == before {
		return
	}
	slices.SortFunc(m.forms, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	m.forms = slices.Compact(m.forms)
}

func (m *Masker) add(secret string) {
	if secret == "" || secret == module.Mask || m.known[secret] {
		return
	}
	m.known[secret] = true
	if len(secret) < shortest {
		m.short = append(m.short, secret)
		return
	}
	for _, form := range formsOf(secret) {
		if len(form) >= shortest {
			m.forms = append(m.forms, form)
		}
	}
	if lines := strings.Split(secret, "\n"); len(lines) > 1 {
		for _, line := range lines {
			// Shorter lines ("}", "end") are no secret by themselves.
			if line = strings.TrimSpace(line); len(line) >= shortestCore {
				m.add(line)
			}
		}
	}
}

func formsOf(secret string) []string {
	quoted := strconv.Quote(secret)
	forms := []string{
		secret,
		strings.TrimRight(secret, "\r\n"),
		quoted[1 : len(quoted)-1],
		url.QueryEscape(secret),
		url.PathEscape(secret),
		strings.ReplaceAll(secret, "'", `'\''`),
		strings.ReplaceAll(secret, "'", "''"),
		strings.NewReplacer(`\`, `\\`, `'`, `\'`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\x00", `\0`).Replace(secret),
		strings.ReplaceAll(host.Quote(secret), "\n", `\n`),
		hex.EncodeToString([]byte(secret)),
		strings.ToUpper(hex.EncodeToString([]byte(secret))),
	}
	if text, err := json.Marshal(secret); err == nil {
		forms = append(forms, string(text[1:len(text)-1]))
	}
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		forms = append(forms, base64Cores(enc, []byte(secret))...)
	}
	return forms
}

// base64Cores are the characters that a secret gives in base64 whatever stands before and after it in what is encoded
// (RFC 4648, 4): one text for each of the three ways it can lie across the groups of three bytes.
func base64Cores(enc *base64.Encoding, secret []byte) []string {
	cores := []string{enc.EncodeToString(secret)}
	for lead := range 3 {
		text := enc.EncodeToString(append(make([]byte, lead), secret...))
		// The first characters hold bits of what stands before, the last one of what follows.
		from := (lead*8 + 5) / 6
		to := (lead + len(secret)) * 8 / 6
		if to-from >= shortestCore {
			cores = append(cores, text[from:to])
		}
	}
	return cores
}

// Text hides the secrets in a text.
func (m *Masker) Text(text string) string {
	if text == "" {
		return ""
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, form := range m.forms {
		if strings.Contains(text, form) {
			text = strings.ReplaceAll(text, form, module.Mask)
		}
	}
	for _, s := range m.short {
		text = hideAlone(text, s)
	}
	return text
}

// hideAlone hides a short secret where no letter or digit touches it.
func hideAlone(text, secret string) string {
	var b strings.Builder
	rest, before := text, byte(' ')
	for {
		i := strings.Index(rest, secret)
		if i < 0 {
			return b.String() + rest
		}
		if i > 0 {
			before = rest[i-1]
		}
		end := i + len(secret)
		after := byte(' ')
		if end < len(rest) {
			after = rest[end]
		}
		b.WriteString(rest[:i])
		if wordByte(before) || wordByte(after) {
			b.WriteString(secret)
		} else {
			b.WriteString(module.Mask)
		}
		before = secret[len(secret)-1]
		rest = rest[end:]
	}
}

func wordByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

// Event hides the secrets in everything an event says. The names of phases, tasks, modules and hosts stay as they are: they
// stand in the recipe and the site, and a run is resumed by them.
func (m *Masker) Event(e Event) Event {
	for _, s := range []*string{&e.Recipe, &e.Title, &e.Source, &e.Text, &e.Note, &e.Error, &e.Hint} {
		*s = m.Text(*s)
	}
	if len(e.Changes) > 0 {
		e.Changes = slices.Clone(e.Changes)
		for i := range e.Changes {
			c := &e.Changes[i]
			c.Summary, c.Before, c.After = m.Text(c.Summary), m.Text(c.Before), m.Text(c.After)
		}
	}
	if e.Kept != nil {
		k := *e.Kept
		k.Object, k.Value, k.Backup = m.Text(k.Object), m.Text(k.Value), m.Text(k.Backup)
		e.Kept = &k
	}
	if e.Progress != nil {
		p := *e.Progress
		p.Label, p.Detail = m.Text(p.Label), m.Text(p.Detail)
		e.Progress = &p
	}
	e.Result = m.value(e.Result)
	if len(e.PerHost) > 0 {
		e.PerHost = slices.Clone(e.PerHost)
		for i := range e.PerHost {
			e.PerHost[i].Error = m.Text(e.PerHost[i].Error)
		}
	}
	e.Saved, _ = m.value(e.Saved).(map[string]any)
	e.Detail, _ = m.value(e.Detail).(map[string]any)
	return e
}

// value hides the secrets in a value made of maps, lists and plain values. What is something else is kept when it prints itself
// masked (a [module.Secret]).
func (m *Masker) value(v any) any {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return m.Text(v)
	case module.Secret:
		return module.Mask
	case map[string]any:
		if v == nil {
			return v
		}
		out := make(map[string]any, len(v))
		for k, item := range v {
			out[m.Text(k)] = m.value(item)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = m.value(item)
		}
		return out
	}
	return m.reflected(reflect.ValueOf(v))
}

// reflected covers the typed maps and lists ([]string, map[string]string …).
func (m *Masker) reflected(v reflect.Value) any {
	switch v.Kind() {
	case reflect.String:
		return m.Text(v.String())
	case reflect.Slice:
		out := make([]any, v.Len())
		for i := range out {
			out[i] = m.value(v.Index(i).Interface())
		}
		return out
	case reflect.Map:
		out := map[string]any{}
		for _, k := range v.MapKeys() {
			out[m.Text(k.String())] = m.value(v.MapIndex(k).Interface())
		}
		return out
	}
	return v.Interface()
}
