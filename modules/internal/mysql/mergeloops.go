package mysql

import (
	"slices"
	"strings"
)

// aliasEdge leads from one alias's source to another's.
type aliasEdge struct {
	from, to string
	comes    bool // it is one of the rows that are brought over
	line     string
}

// loops finds circles that only both sets of aliases together make; one that a server had before is no work of the merge. An
// alias to itself is none: it keeps a mailbox beside further destinations (virtual(5)).
func loops(come, stay []aliasRow, mailboxes map[string]bool) []string {
	sources := map[string]bool{}
	for _, a := range slices.Concat(come, stay) {
		sources[a.source] = true
	}
	graph := map[string][]aliasEdge{}
	add := func(list []aliasRow, comes bool) {
		for _, a := range list {
			for _, to := range destinations(a.destination) {
				if next := resolves(to, sources, mailboxes); next != "" && next != a.source {
					graph[a.source] = append(graph[a.source], aliasEdge{a.source, next, comes, a.line()})
				}
			}
		}
	}
	add(come, true)
	add(stay, false)
	group := components(graph)
	var rows []string
	seen := map[int][2]bool{} // per group: whether an edge that comes, and one that stays, lie within it
	for _, edges := range graph {
		for _, e := range edges {
			if group[e.from] == group[e.to] {
				has := seen[group[e.from]]
				has[0], has[1] = has[0] || e.comes, has[1] || !e.comes
				seen[group[e.from]] = has
			}
		}
	}
	for _, from := range sortedKeys(graph) {
		for _, e := range graph[from] {
			if group[e.from] == group[e.to] && seen[group[e.from]] == [2]bool{true, true} {
				rows = append(rows, e.line)
			}
		}
	}
	return slices.Compact(rows)
}

// resolves is the alias that Postfix looks at next for an address: its own, else the catch-all of its domain unless it is a mailbox.
func resolves(address string, sources, mailboxes map[string]bool) string {
	if sources[address] {
		return address
	}
	if at := strings.LastIndexByte(address, '@'); at >= 0 && !mailboxes[address] && sources[address[at:]] {
		return address[at:]
	}
	return ""
}

// components numbers the strongly connected parts of a graph: nodes of one number reach each other (R. Tarjan, "Depth-first
// search and linear graph algorithms", 1972).
func components(graph map[string][]aliasEdge) map[string]int {
	t := &tarjan{graph: graph, index: map[string]int{}, low: map[string]int{}, group: map[string]int{}}
	for _, node := range sortedKeys(graph) {
		if t.index[node] == 0 {
			t.visit(node)
		}
	}
	return t.group
}

type tarjan struct {
	graph      map[string][]aliasEdge
	index, low map[string]int
	group      map[string]int
	stack      []string
	groups     int
}

func (t *tarjan) visit(node string) {
	t.index[node] = len(t.index) + 1
	t.low[node] = t.index[node]
	t.stack = append(t.stack, node)
	for _, e := range t.graph[node] {
		if t.index[e.to] == 0 {
			t.visit(e.to)
			t.low[node] = min(t.low[node], t.low[e.to])
		} else if t.group[e.to] == 0 {
			t.low[node] = min(t.low[node], t.index[e.to])
		}
	}
	if t.low[node] != t.index[node] {
		return
	}
	t.groups++
	for {
		last := t.stack[len(t.stack)-1]
		t.stack = t.stack[:len(t.stack)-1]
		t.group[last] = t.groups
		if last == node {
			return
		}
	}
}
