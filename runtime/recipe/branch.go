package recipe

import "github.com/yuin/gopher-lua/ast"

// avoidDeadBranches gives every constant condition ("if false then", "while true do") a form that the compiler does not
// take as constant. Code that it found to be dead breaks the code after it (gopher-lua issue 540: the machine panics or never ends).
func avoidDeadBranches(stmts []ast.Stmt) {
	walk(stmts, func(n any) {
		switch n := n.(type) {
		case *ast.IfStmt:
			n.Condition = living(n.Condition)
		case *ast.WhileStmt:
			n.Condition = living(n.Condition)
		case *ast.RepeatStmt:
			n.Condition = living(n.Condition)
		}
	})
}

// living is a condition without constants where it decides on a jump.
func living(e ast.Expr) ast.Expr {
	switch e := e.(type) {
	case *ast.FalseExpr, *ast.NilExpr:
		return comparison(e, "2")
	case *ast.TrueExpr, *ast.NumberExpr, *ast.StringExpr:
		return comparison(e, "1")
	case *ast.UnaryNotOpExpr:
		e.Expr = living(e.Expr)
	case *ast.LogicalOpExpr:
		e.Lhs, e.Rhs = living(e.Lhs), living(e.Rhs)
	}
	return e
}

// comparison is 1 == number at the place of e.
func comparison(e ast.Expr, number string) ast.Expr {
	one, other := &ast.NumberExpr{Value: "1"}, &ast.NumberExpr{Value: number}
	c := &ast.RelationalOpExpr{Operator: "==", Lhs: one, Rhs: other}
	for _, x := range []ast.Expr{one, other, c} {
		x.SetLine(e.Line())
		x.SetLastLine(e.LastLine())
	}
	return c
}
