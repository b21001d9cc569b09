package recipe

import "github.com/yuin/gopher-lua/ast"

// walk visits every statement and expression of a block, each before what it holds.
func walk(stmts []ast.Stmt, visit func(node any)) {
	for _, s := range stmts {
		walkStmt(s, visit)
	}
}

func walkStmt(s ast.Stmt, visit func(any)) {
	visit(s)
	switch s := s.(type) {
	case *ast.AssignStmt:
		walkExprs(s.Lhs, visit)
		walkExprs(s.Rhs, visit)
	case *ast.LocalAssignStmt:
		walkExprs(s.Exprs, visit)
	case *ast.FuncCallStmt:
		walkExpr(s.Expr, visit)
	case *ast.DoBlockStmt:
		walk(s.Stmts, visit)
	case *ast.WhileStmt:
		walkExpr(s.Condition, visit)
		walk(s.Stmts, visit)
	case *ast.RepeatStmt:
		walk(s.Stmts, visit)
		walkExpr(s.Condition, visit)
	case *ast.IfStmt:
		walkExpr(s.Condition, visit)
		walk(s.Then, visit)
		walk(s.Else, visit)
	case *ast.NumberForStmt:
		walkExprs([]ast.Expr{s.Init, s.Limit, s.Step}, visit)
		walk(s.Stmts, visit)
	case *ast.GenericForStmt:
		walkExprs(s.Exprs, visit)
		walk(s.Stmts, visit)
	case *ast.FuncDefStmt:
		walkExprs([]ast.Expr{s.Name.Func, s.Name.Receiver}, visit)
		walkExpr(s.Func, visit)
	case *ast.ReturnStmt:
		walkExprs(s.Exprs, visit)
	}
}

func walkExprs(list []ast.Expr, visit func(any)) {
	for _, e := range list {
		walkExpr(e, visit)
	}
}

func walkExpr(e ast.Expr, visit func(any)) {
	if e == nil {
		return
	}
	visit(e)
	switch e := e.(type) {
	case *ast.AttrGetExpr:
		walkExprs([]ast.Expr{e.Object, e.Key}, visit)
	case *ast.TableExpr:
		for _, f := range e.Fields {
			walkExprs([]ast.Expr{f.Key, f.Value}, visit)
		}
	case *ast.FuncCallExpr:
		walkExprs([]ast.Expr{e.Func, e.Receiver}, visit)
		walkExprs(e.Args, visit)
	case *ast.LogicalOpExpr:
		walkExprs([]ast.Expr{e.Lhs, e.Rhs}, visit)
	case *ast.RelationalOpExpr:
		walkExprs([]ast.Expr{e.Lhs, e.Rhs}, visit)
	case *ast.StringConcatOpExpr:
		walkExprs([]ast.Expr{e.Lhs, e.Rhs}, visit)
	case *ast.ArithmeticOpExpr:
		walkExprs([]ast.Expr{e.Lhs, e.Rhs}, visit)
	case *ast.UnaryMinusOpExpr:
		walkExpr(e.Expr, visit)
	case *ast.UnaryNotOpExpr:
		walkExpr(e.Expr, visit)
	case *ast.UnaryLenOpExpr:
		walkExpr(e.Expr, visit)
	case *ast.FunctionExpr:
		walk(e.Stmts, visit)
	}
}
