package run

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/scrypt"

	"runner/runtime/module"
	"runner/runtime/recipe"
)

// PlanFormat is the version of the file of a [SavedPlan]. Another version is refused: a plan is made anew in a minute.
const PlanFormat = 1

// SavedPlan is what a run in check mode found out, kept in a file so that exactly that is done later. Secrets are masked in it.
type SavedPlan struct {
	Created  time.Time `json:"created"`
	Basis    PlanBasis `json:"basis"`
	Complete bool      `json:"complete"` // each step could be told; not: a step or task depends on what is not done yet

	Steps []PlannedStep `json:"steps"`

	mu sync.Mutex
}

// PlanBasis is what a plan was made from. When any of it is another, the plan is of something else.
type PlanBasis struct {
	Recipe     string            `json:"recipe"` // absolute path, or "stock:NAME"
	RecipeHash string            `json:"recipe_sha256"`
	Files      map[string]string `json:"files_sha256,omitempty"` // of what the recipe required or extends
	Site       string            `json:"site,omitempty"`
	SiteHash   string            `json:"site_sha256,omitempty"`
	State      string            `json:"state"`
	Version    string            `json:"version"` // of runner
	Given      map[string]string `json:"given,omitempty"`
	Params     map[string]any    `json:"params,omitempty"`
	Hosts      map[string]string `json:"hosts,omitempty"` // name in the recipe: address
	Choice     Choice            `json:"choice"`
	Limit      string            `json:"limit,omitempty"`
	Restart    bool              `json:"restart,omitempty"`
	Run        string            `json:"run,omitempty"`     // the unfinished run that is gone on with
	Done       int               `json:"done,omitempty"`    // tasks of it that were done
	Salt       string            `json:"salt,omitempty"`    // of Secrets
	Secrets    map[string]string `json:"secrets,omitempty"` // secret parameter: scrypt (RFC 7914) of its value, which tells another value and does not give this one away
}

// PlannedStep is a step as check mode saw it.
type PlannedStep struct {
	Phase     string           `json:"phase"`
	Task      string           `json:"task"`
	Handler   bool             `json:"handler,omitempty"`
	Module    string           `json:"module"`
	Title     string           `json:"title,omitempty"`
	Hosts     []string         `json:"hosts,omitempty"`
	At        *recipe.Position `json:"at,omitempty"`
	Status    module.Status    `json:"status"`
	Note      string           `json:"note,omitempty"`
	Changes   []ChangeInfo     `json:"changes,omitempty"`
	Moving    bool             `json:"moving,omitempty"` // what it looks at changes by itself
	After     []int            `json:"after,omitempty"`  // steps of the plan, from 1, that change one of its hosts before it
	Arguments string           `json:"arguments"`        // SHA-256 of them, secrets masked
	Seen      string           `json:"seen"`             // SHA-256 of what would be done and what was there before

	step int // number in the run
}

// Salted makes the means to tell other secrets from these.
func (b *PlanBasis) Salted(salt string, secrets map[string]string) error {
	if len(secrets) == 0 {
		return nil
	}
	if salt == "" {
		salt = rand.Text()
	}
	b.Salt, b.Secrets = salt, map[string]string{}
	for name, value := range secrets {
		key, err := scrypt.Key([]byte(value), []byte(salt+name), 1<<15, 8, 1, 32)
		if err != nil {
			return fmt.Errorf("cannot keep a trace of the parameter %s: %w", name, err)
		}
		b.Secrets[name] = hex.EncodeToString(key)
	}
	return nil
}

// Differences says in a line each what of the basis is another now; none: the plan may be applied.
func (b PlanBasis) Differences(now PlanBasis) (list []string) {
	for _, c := range []struct{ what, was, is string }{
		{"runner is another version", b.Version, now.Version},
		{"the state folder is another", b.State, now.State},
		{"the site is another file", b.Site, now.Site},
		{"--limit is another", b.Limit, now.Limit},
	} {
		if c.was != c.is {
			list = append(list, fmt.Sprintf("%s: planned with %q, now %q", c.what, c.was, c.is))
		}
	}
	if b.RecipeHash != now.RecipeHash {
		list = append(list, "the recipe was changed: "+b.Recipe)
	}
	list = append(list, fileDifferences(b.Files, now.Files)...)
	if b.SiteHash != now.SiteHash && b.Site == now.Site {
		list = append(list, "the site was changed: "+b.Site)
	}
	list = append(list, paramDifferences(b.Params, now.Params, b.Secrets, now.Secrets)...)
	list = append(list, mapDifferences("host", toAny(b.Hosts), toAny(now.Hosts))...)
	switch {
	case b.Run != now.Run && now.Run == "":
		list = append(list, fmt.Sprintf("the run %s, which it was to go on with, is finished or gone", b.Run))
	case b.Run != now.Run:
		list = append(list, fmt.Sprintf("the run %s was begun since and is not finished", now.Run))
	case b.Done != now.Done:
		list = append(list, fmt.Sprintf("the run %s went on since: %s were done, now %d", b.Run, plural(b.Done, "task"), now.Done))
	}
	return list
}

// Since says in a line each what is not as when the newest session of a run began.
func (s Start) Since(file string, now Start) (list []string) {
	if s.SHA256 != "" && s.SHA256 != now.SHA256 {
		list = append(list, "the recipe was changed: "+file)
	}
	list = append(list, fileDifferences(s.Files, now.Files)...)
	for _, t := range now.Plan {
		if !slices.Contains(s.Plan, t) {
			list = append(list, fmt.Sprintf("the task %q is new, in the phase %s", t.Task, t.Phase))
		}
	}
	for _, t := range s.Plan {
		if !slices.Contains(now.Plan, t) {
			list = append(list, fmt.Sprintf("the task %q is gone from the phase %s", t.Task, t.Phase))
		}
	}
	list = append(list, mapDifferences("parameter", s.Params, now.Params)...)
	return append(list, mapDifferences("host", toAny(s.Hosts), toAny(now.Hosts))...)
}

// fileDifferences is about the files of a recipe beside its own.
func fileDifferences(was, is map[string]string) (list []string) {
	names := maps.Clone(was)
	if names == nil {
		names = map[string]string{}
	}
	maps.Copy(names, is)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		old, now := was[name], is[name]
		switch {
		case old == now:
		case old == "":
			list = append(list, "the recipe has a file more: "+name)
		case now == "":
			list = append(list, "the recipe has a file less: "+name)
		default:
			list = append(list, "a file of the recipe was changed: "+name)
		}
	}
	return list
}

func paramDifferences(was, is map[string]any, wasSecret, isSecret map[string]string) []string {
	list := mapDifferences("parameter", was, is)
	for _, name := range slices.Sorted(maps.Keys(wasSecret)) {
		now, ok := isSecret[name]
		switch {
		case !ok:
			list = append(list, fmt.Sprintf("parameter %s: the secret cannot be read any more", name))
		case now != wasSecret[name]:
			list = append(list, fmt.Sprintf("parameter %s: another secret (%s)", name, module.Mask))
		}
	}
	return list
}

func toAny(m map[string]string) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

func mapDifferences(kind string, was, is map[string]any) (list []string) {
	keys := map[string]bool{}
	for k := range was {
		keys[k] = true
	}
	for k := range is {
		keys[k] = true
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		old, had := was[k]
		now, has := is[k]
		switch {
		case !had:
			list = append(list, fmt.Sprintf("%s %s: was not given, now %s", kind, k, shown(now)))
		case !has:
			list = append(list, fmt.Sprintf("%s %s: was %s, now not given", kind, k, shown(old)))
		case !reflect.DeepEqual(plainJSON(old), plainJSON(now)):
			list = append(list, fmt.Sprintf("%s %s: was %s, now %s", kind, k, shown(old), shown(now)))
		}
	}
	return list
}

func shown(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(data)
}

// plainJSON makes values comparable that came from JSON and such that did not.
func plainJSON(v any) (out any) {
	if data, err := json.Marshal(v); err == nil && json.Unmarshal(data, &out) == nil {
		return out
	}
	return v
}

// MaskParams gives the parameters as they may be shown.
func (m *Masker) MaskParams(params map[string]any) map[string]any {
	masked, _ := m.value(params).(map[string]any)
	return masked
}

// TasksOf names the tasks of a program in their order.
func TasksOf(p Program) []TaskName { return planOf(p.Phases()) }

// MaskBasis hides the secrets of a basis, as everything that is written.
func (m *Masker) MaskBasis(b *PlanBasis) {
	b.Params, _ = m.value(b.Params).(map[string]any)
	for name, value := range b.Given {
		b.Given[name] = m.Text(value)
	}
}

// planFile is the form of the file: the plan, and what tells that it is whole and was not edited.
type planFile struct {
	Format int             `json:"runner_plan"`
	SHA256 string          `json:"sha256"` // of plan without white space between its parts
	Plan   json.RawMessage `json:"plan"`
}

// Write writes the plan to a file of mode 0600, whole or not at all.
func (p *SavedPlan) Write(path string) (err error) {
	p.Complete = !slices.ContainsFunc(p.Steps, func(s PlannedStep) bool { return s.Status == module.Unknown })
	data, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("cannot write the plan %s: %w", path, err)
	}
	sum := sha256.Sum256(data)
	text, err := json.MarshalIndent(planFile{PlanFormat, hex.EncodeToString(sum[:]), data}, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot write the plan %s: %w", path, err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".plan-*") // mode 0600
	if err != nil {
		return fmt.Errorf("cannot write the plan %s: %w", path, reason(err))
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
			err = fmt.Errorf("cannot write the plan %s: %w", path, reason(err))
		}
	}()
	if _, err := f.Write(append(text, '\n')); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// ReadPlan reads a file that [SavedPlan.Write] wrote. A file that was cut off or edited is refused.
func ReadPlan(path string) (*SavedPlan, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, usage("cannot read the plan %s: %w", path, reason(err))
	}
	p, err := parsePlan(text)
	if err != nil {
		return nil, &Failure{Err: fmt.Errorf("cannot apply the plan %s: %w", path, err), Code: ExitRecipe, Hint: "make a new one with: runner plan RECIPE -o FILE"}
	}
	return p, nil
}

func parsePlan(text []byte) (*SavedPlan, error) {
	var f planFile
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("it is not a plan of runner, or was cut off: %w", err)
	}
	if f.Format != PlanFormat {
		return nil, fmt.Errorf("it has the format %d, and this runner knows %d", f.Format, PlanFormat)
	}
	var plain bytes.Buffer
	if err := json.Compact(&plain, f.Plan); err != nil {
		return nil, fmt.Errorf("it holds no plan: %w", err)
	}
	if sum := sha256.Sum256(plain.Bytes()); hex.EncodeToString(sum[:]) != f.SHA256 {
		return nil, fmt.Errorf("its checksum is wrong: it was edited or damaged")
	}
	p := &SavedPlan{}
	if err := json.Unmarshal(f.Plan, p); err != nil {
		return nil, fmt.Errorf("it holds no plan: %w", err)
	}
	return p, nil
}
