// Package runtime is the house that recipes run in. From the bottom up, each floor knowing only those below it:
//
//	transport  how bytes get to a host: ssh, or this machine
//	host       a connected host: View looks, Host also writes
//	module     the contract: arguments, Plan, Change, Result
//	recipe     the Lua of a recipe and all it sees
//	run        runs a recipe: phases, gates, journal, resume, undo, report
//
// The modules themselves are the catalogue in runner/modules; the law is a test in layers_test.go.
package runtime
