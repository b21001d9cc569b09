package mysql

import (
	"context"
	"fmt"
	"strings"
)

// Sum is a fingerprint of the rows of a table that does not depend on their order, nor on the server that computed it.
type Sum struct {
	Rows      int64
	High, Low string // sums of the two halves of each row's MD5, as decimal numbers
}

// sumColumn is a column as it enters a fingerprint: an SQL expression, and the kind of value that is compared.
type sumColumn struct {
	expression string
	kind       kind
}

// sumColumns lists a table's columns for a fingerprint. values holds, by column name, the expressions whose values are
// taken instead of the columns; kinds come from target, the table as it is to become.
func sumColumns(target *Table, values map[string]string) []sumColumn {
	list := make([]sumColumn, len(target.Columns))
	for i, c := range target.Columns {
		list[i] = sumColumn{expression: Name(c.Name), kind: c.kind()}
		if v, ok := values[c.Name]; ok {
			list[i].expression = "(" + v + ")"
		}
		if target.View {
			list[i].kind = kindText // nothing is known of what a view's columns come from
		}
	}
	return list
}

// Sum computes the fingerprint of a table in its server.
//
// Each value is hashed for itself, so that no intermediate text can outgrow max_allowed_packet; NULL is told from every
// value by a mark that no hash can be. Texts are hashed as UTF-8 whatever their column is kept in. The hashes of rows are
// added up and not combined by XOR, in which two equal rows would cancel each other.
//
// from is what stands behind FROM: a quoted table, or a query in brackets with a name.
func (s *Session) Sum(ctx context.Context, from string, columns []sumColumn) (Sum, error) {
	hashes := make([]string, len(columns))
	for i, c := range columns {
		hashes[i] = "IFNULL(MD5(" + s.comparable(c) + "),'-')"
	}
	row := "MD5(CONCAT(" + strings.Join(hashes, ",") + "))"
	half := func(part string) string {
		return "CAST(IFNULL(SUM(CAST(CONV(" + part + ",16,10) AS UNSIGNED)),0) AS CHAR)"
	}
	query := fmt.Sprintf("SELECT COUNT(*), %s, %s FROM %s", half("LEFT("+row+",16)"), half("RIGHT("+row+",16)"), from)
	var sum Sum
	err := s.row(ctx, query, nil, &sum.Rows, &sum.High, &sum.Low)
	if err != nil {
		return Sum{}, plainError(s.absent(err, ""))
	}
	return sum, nil
}

// comparable words a value so that equal values give equal bytes on every server.
func (s *Session) comparable(c sumColumn) string {
	switch c.kind {
	case kindText:
		return "CONVERT(" + c.expression + " USING " + s.charset + ")"
	case kindBits:
		return c.expression + "+0"
	case kindFloat:
		// MySQL 5.0 writes 1e+20, later ones 1e20.
		return "REPLACE(CAST(" + c.expression + " AS CHAR),'e+','e')"
	}
	return c.expression
}
