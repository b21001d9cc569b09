package recipe

import (
	"slices"

	"github.com/yuin/gopher-lua/ast"
)

// scopes goes through a file and tells what it does with globals. Names that are local where they are used are not told.
type scopes struct {
	read  func(name string, line int)
	write func(name string, line, depth int) // depth 0: not in a function
	field func(path []string, line int)      // a global's constant field, "hosts", "old"
	call  func(path []string, call *ast.FuncCallExpr)

	shadow func(name string, line int) // a local is declared; may be nil

	locals []string // a stack
	depth  int
}

func (s *scopes) define(line int, names ...string) {
	s.locals = append(s.locals, names...)
	for _, name := range names {
		if s.shadow != nil {
			s.shadow(name, line)
		}
	}
}

// inside goes through what has locals of its own.
func (s *scopes) inside(body func()) {
	n := len(s.locals)
	body()
	s.locals = s.locals[:n]
}

func (s *scopes) block(stmts []ast.Stmt) {
	s.inside(func() { s.stmts(stmts) })
}

func (s *scopes) stmts(stmts []ast.Stmt) {
	for _, st := range stmts {
		s.stmt(st)
	}
}

func (s *scopes) stmt(st ast.Stmt) {
	switch st := st.(type) {
	case *ast.LocalAssignStmt:
		s.local(st)
	case *ast.AssignStmt:
		s.exprs(st.Rhs)
		for _, e := range st.Lhs {
			s.assigned(e)
		}
	case *ast.FuncDefStmt:
		if st.Name.Func != nil {
			s.assigned(st.Name.Func)
		}
		if st.Name.Receiver != nil {
			s.expr(st.Name.Receiver)
			s.function(st.Func, "self")
			return
		}
		s.function(st.Func)
	case *ast.FuncCallStmt:
		s.expr(st.Expr)
	case *ast.DoBlockStmt:
		s.block(st.Stmts)
	case *ast.WhileStmt:
		s.expr(st.Condition)
		s.block(st.Stmts)
	case *ast.RepeatStmt:
		// The condition sees the locals of the body.
		s.inside(func() {
			s.stmts(st.Stmts)
			s.expr(st.Condition)
		})
	case *ast.IfStmt:
		s.expr(st.Condition)
		s.block(st.Then)
		s.block(st.Else)
	case *ast.NumberForStmt:
		s.exprs([]ast.Expr{st.Init, st.Limit, st.Step})
		s.inside(func() {
			s.define(st.Line(), st.Name)
			s.block(st.Stmts)
		})
	case *ast.GenericForStmt:
		s.exprs(st.Exprs)
		s.inside(func() {
			s.define(st.Line(), st.Names...)
			s.block(st.Stmts)
		})
	case *ast.ReturnStmt:
		s.exprs(st.Exprs)
	}
}

// local declares names: those of `local function f` are seen by the function itself, others only after the statement.
func (s *scopes) local(st *ast.LocalAssignStmt) {
	if len(st.Exprs) == 1 && len(st.Names) == 1 {
		if fn, ok := st.Exprs[0].(*ast.FunctionExpr); ok {
			s.define(st.Line(), st.Names...)
			s.function(fn)
			return
		}
	}
	s.exprs(st.Exprs)
	s.define(st.Line(), st.Names...)
}

func (s *scopes) assigned(e ast.Expr) {
	id, ok := e.(*ast.IdentExpr)
	if !ok {
		// x.y = 1 reads x only.
		if a, ok := e.(*ast.AttrGetExpr); ok {
			s.exprs([]ast.Expr{a.Object, a.Key})
		}
		return
	}
	if !slices.Contains(s.locals, id.Value) {
		s.write(id.Value, id.Line(), s.depth)
	}
}

func (s *scopes) exprs(list []ast.Expr) {
	for _, e := range list {
		s.expr(e)
	}
}

func (s *scopes) expr(e ast.Expr) {
	switch e := e.(type) {
	case *ast.IdentExpr:
		if !slices.Contains(s.locals, e.Value) {
			s.read(e.Value, e.Line())
		}
	case *ast.AttrGetExpr:
		s.exprs([]ast.Expr{e.Object, e.Key})
		if path := s.global(e); path != nil {
			s.field(path, e.Line())
		}
	case *ast.TableExpr:
		for _, f := range e.Fields {
			s.exprs([]ast.Expr{f.Key, f.Value})
		}
	case *ast.FuncCallExpr:
		s.exprs([]ast.Expr{e.Func, e.Receiver})
		s.exprs(e.Args)
		if path := s.global(e.Func); path != nil {
			s.call(path, e)
		}
	case *ast.FunctionExpr:
		s.function(e)
	case *ast.LogicalOpExpr:
		s.exprs([]ast.Expr{e.Lhs, e.Rhs})
	case *ast.RelationalOpExpr:
		s.exprs([]ast.Expr{e.Lhs, e.Rhs})
	case *ast.StringConcatOpExpr:
		s.exprs([]ast.Expr{e.Lhs, e.Rhs})
	case *ast.ArithmeticOpExpr:
		s.exprs([]ast.Expr{e.Lhs, e.Rhs})
	case *ast.UnaryMinusOpExpr:
		s.expr(e.Expr)
	case *ast.UnaryNotOpExpr:
		s.expr(e.Expr)
	case *ast.UnaryLenOpExpr:
		s.expr(e.Expr)
	}
}

func (s *scopes) function(fn *ast.FunctionExpr, more ...string) {
	s.inside(func() {
		s.depth++
		s.define(fn.Line(), more...)
		if fn.ParList != nil {
			s.define(fn.Line(), fn.ParList.Names...)
			if fn.ParList.HasVargs {
				s.define(fn.Line(), "arg") // as Lua 5.0 has it and gopher-lua still does
			}
		}
		s.stmts(fn.Stmts)
		s.depth--
	})
}

// global is the path of an expression that is a global or constant fields of one: a.b.c. Nil for any other.
func (s *scopes) global(e ast.Expr) []string {
	switch e := e.(type) {
	case *ast.IdentExpr:
		if !slices.Contains(s.locals, e.Value) {
			return []string{e.Value}
		}
	case *ast.AttrGetExpr:
		key, ok := e.Key.(*ast.StringExpr)
		if path := s.global(e.Object); ok && path != nil {
			return append(path, key.Value)
		}
	}
	return nil
}
