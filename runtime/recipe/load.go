package recipe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"time"

	lua "github.com/yuin/gopher-lua"

	"runner/runtime/module"
)

// Source is the text of a recipe and the files that it may require.
type Source struct {
	Name  string // of the file, as messages show it
	Text  string
	Files fs.FS // the folder of the file, for require; nil: nothing can be required
	Stock fs.FS // the stock recipes, for extend; nil: there are none
}

// Options are what a recipe is loaded with.
type Options struct {
	Modules []module.Module // what the recipe can call
	// Engine is used for what the top level of the recipe says, and by the Run methods when they are given none. Nil: what the top
	// level says is kept for [Recipe.Notes].
	Engine Engine
	// Resolve gives the recipe what it needs, when its top level has said what that is. Nil: there is nothing to give.
	Resolve   func(Declaration) (Inputs, error)
	Check     bool          // what runner.check says, unless Inputs.Check says it
	Version   string        // what runner.version says
	Secrets   SecretReader  // where secrets of the recipe are read
	Forks     int           // hosts that each(hosts, fn) works on at a time; 0: [DefaultForks]
	unchecked bool          // Lint: mistakes that the files show are not looked for
	Limit     time.Duration // for running the top level, without the time in Resolve; 0: [DefaultLimit]
}

// Defaults of [Options].
const (
	DefaultForks = 10
	DefaultLimit = 20 * time.Second
)

// ErrLimit says that the top level of a recipe or a site ran for too long.
var ErrLimit = errors.New("the top level runs for too long (does a loop not end?)")

// Recipe is a recipe that was loaded. Close it.
type Recipe struct {
	*machine
	source      Source
	options     Options
	declaration *Declaration
	declaredAt  Position
	inputs      Inputs
	phases      []*Phase
	phase       *Phase // that tasks belong to
	handlers    []*handler
	extensions  []extension       // of what is being read, outermost first
	extended    bool              // the recipe that is extended has been read
	folders     map[string]folder // of files that were extended: where they may require others
	notes       []string
	saved       *lua.LTable
	kept        map[string]any       // the content of saved
	required    map[string]*required // by path
	given       []*lua.LTable        // what is in hosts, groups and params
	pause       func(work func())    // runs work without counting its time for Limit
	sums        map[string]string    // see Files
}

type handler struct {
	name string
	at   Position
	body *lua.LFunction
}

// Load runs the top level of a recipe: it declares itself, gets what it needs from [Options.Resolve], and registers its phases,
// tasks and handlers. Then its files are searched for mistakes that show without being run. The error is a [*MissingError], or an
// [*Error], which wraps what Resolve returned when that was what failed.
func Load(ctx context.Context, src Source, o Options) (*Recipe, error) {
	r := &Recipe{machine: newMachine(o.Secrets), source: src, options: o, folders: map[string]folder{}}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.openSandbox()
	if err := r.define(); err != nil {
		r.state.Close()
		return nil, err
	}
	limit := o.Limit
	if limit <= 0 {
		limit = DefaultLimit
	}
	limited, end := r.limited(ctx, limit)
	defer end()
	if err := r.runTop(limited); err != nil {
		r.state.Close()
		return nil, err
	}
	return r, nil
}

// limited is a context that ends when the top level has run for too long. Time in r.pause does not count.
func (m *Recipe) limited(ctx context.Context, limit time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(limit, func() { cancel(ErrLimit) })
	m.pause = func(work func()) {
		timer.Stop()
		defer timer.Reset(limit)
		work()
	}
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}

func (r *Recipe) runTop(ctx context.Context) error {
	main, err := r.compile(r.source.Name, r.source.Text)
	if err != nil {
		return err
	}
	results, f := r.call(newThread(ctx, r.options.Engine, declaring), main)
	if f != nil {
		var missing *MissingError
		if errors.As(f.err, &missing) {
			return missing
		}
		return f.err
	}
	if r.declaration == nil {
		what := "cannot run this: it does not say what it needs with recipe { name = …, hosts = { … } }"
		if len(results) > 0 {
			what = "cannot run this: it returns something and declares nothing; is it a site file?"
		}
		return &Error{At: Position{File: r.source.Name}, What: what}
	}
	all := make([]*file, len(r.names))
	for i, name := range r.names {
		all[i] = r.files[name]
	}
	if !r.options.unchecked {
		if err := r.check(all...); err != nil {
			return err
		}
	}
	r.sums = r.sumsOfFiles()
	if r.kept, err = r.savedValues(); err != nil {
		return &Error{At: Position{File: r.source.Name}, What: err.Error()}
	}
	return nil
}

// Files are what the top level of the recipe was made of beside its own file, those that it required or extends: by path, below the
// folder of the recipe where they lie there, the SHA-256 in hexadecimal.
func (r *Recipe) Files() map[string]string { return r.sums }

func (r *Recipe) sumsOfFiles() map[string]string {
	sums := map[string]string{}
	for name, f := range r.files {
		if name == r.source.Name {
			continue
		}
		if rel, err := filepath.Rel(filepath.Dir(r.source.Name), name); err == nil && filepath.IsLocal(rel) {
			name = filepath.ToSlash(rel)
		}
		sums[name] = f.sum
	}
	return sums
}

// Close frees the machine. Nothing of the recipe may be running.
func (r *Recipe) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.Close()
}

// Declaration is what the recipe says of itself.
func (r *Recipe) Declaration() Declaration { return *r.declaration }

// Phases in the order of the recipe, each with its tasks.
func (r *Recipe) Phases() []*Phase { return r.phases }

// Handlers are the names of the handlers in the order of the recipe.
func (r *Recipe) Handlers() []string {
	names := make([]string, len(r.handlers))
	for i, h := range r.handlers {
		names[i] = h.name
	}
	return names
}

// Notes are what the top level of the recipe printed when no engine was there to show it.
func (r *Recipe) Notes() []string { return r.notes }

// Saved is the content of the table `saved` at the end of the last task, handler or undo that was run.
func (r *Recipe) Saved() map[string]any {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.kept)
}

// Line is a line of the recipe or of a file that it required; empty when there is none.
func (r *Recipe) Line(at Position) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.line(at)
}

// savedValues exports the table `saved`.
func (r *Recipe) savedValues() (map[string]any, error) {
	if r.saved == nil {
		return nil, nil
	}
	x := export{reveal: func(*secret) (any, error) { return nil, errors.New("a secret cannot be kept for later runs") }}
	v, err := x.value("saved", r.saved)
	if err != nil {
		return nil, fmt.Errorf("cannot keep what is in saved: %w", err)
	}
	values, ok := v.(map[string]any)
	if !ok {
		if list := v.([]any); len(list) > 0 {
			return nil, errors.New("cannot keep saved: it must have names, saved.name = value")
		}
		return map[string]any{}, nil
	}
	return values, checkKept("saved", values)
}
