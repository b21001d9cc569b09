// Package recipe runs the Lua of a recipe: one virtual machine, a sandbox around it, and everything a recipe sees. It is
// the only package that knows Lua. What a recipe asks for is done by an [Engine], which stands above.
//
// [Load] reads a recipe: its top level runs, says with recipe{…} what it needs, gets it from [Options.Resolve] and
// registers phases, tasks and handlers. [Recipe.RunTask] runs the body of one of them. [LoadSite] reads a site file.
package recipe

import (
	"context"
	"fmt"

	"runner/runtime/module"
)

// Position is a place in a recipe or one of the files it requires.
type Position struct {
	File string `json:"file"`
	Line int    `json:"line"`
	// Column in bytes, from 1; 0: unknown.
	Column int `json:"column,omitempty"`
}

func (p Position) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column > 0:
		return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

// Engine does what a recipe asks for. Its methods are called from the goroutine of the task, or for each(hosts, fn) from
// one goroutine per host, never with the lock of the virtual machine held. An error marked with [Final], and any error
// after the context has ended, is not caught by the recipe's pcall.
type Engine interface {
	// Step runs one call of a module. The result table of the recipe is made of the returned map; an error ends the task
	// (in Lua it is an error that pcall catches). An *module.ArgumentError is a mistake in the recipe.
	Step(ctx context.Context, s Step) (map[string]any, error)
	// Say shows a text of the recipe to the operator (print, say).
	Say(ctx context.Context, text string)
	// Ask asks a question at a gate inside a task (ask "…"); false is an error in the recipe's task.
	Ask(ctx context.Context, question string) (bool, error)
	// Each begins the account of a call of each(hosts, fn); nil: there is none to be kept.
	Each(ctx context.Context, c EachCall) Fleet
}

// Step is one call of a module by a recipe.
type Step struct {
	Module string         // "mysql.copy"
	Values map[string]any // as package module decodes them
	At     Position
	Undo   bool // called from the undo body of a task
}

// Declaration is what a recipe says of itself with recipe{…}.
type Declaration struct {
	Name   string
	Help   string
	Hosts  []HostDecl
	Groups []HostDecl
	Params []ParamDecl
}

// HostDecl is a host or a group of hosts that a recipe needs.
type HostDecl struct {
	Name     string
	Help     string
	Optional bool // the recipe does without: it sees nil, or an empty group
	At       Position
}

// ParamDecl is a parameter that a recipe takes.
type ParamDecl struct {
	Name     string
	Type     string // "string", "number", "boolean", "list", "table", "secret"
	Default  any    // nil: none
	Required bool   // must be given; a parameter with neither this nor a default is nil when it is not given
	Choices  []string
	Help     string
	At       Position
}

// Phase is a part of a recipe that is run in one go.
type Phase struct {
	Name  string
	Title string
	Gate  string // question asked before it; empty: none, or one that is put into words when it is asked
	At    Position
	Tasks []*Task
	gate  any // *lua.LFunction that words the question; nil: it is Gate
}

// Asks says whether a question stands before the phase.
func (p *Phase) Asks() bool { return p.Gate != "" || p.gate != nil }

// Task is a named unit of a recipe.
type Task struct {
	Name    string
	Phase   string
	At      Position
	HasUndo bool
	body    any // *lua.LFunction, as are the others; nil: none
	undo    any
	unless  any
}

// Inputs are the values that a recipe gets from the site and the command line.
type Inputs struct {
	Hosts  map[string]module.HostName   // recipe's name -> host; only the names that the site knows
	Groups map[string][]module.HostName // group -> hosts
	Params map[string]any
	Check  bool // true: nothing is applied; the recipe can ask for it (runner.check)
	// Saved is the content of the table `saved` at the end of the last task, restored when a run is resumed.
	Saved map[string]any
}
