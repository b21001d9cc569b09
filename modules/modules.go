// Package modules is the catalogue: everything a recipe can call. One file per family, all listed here.
package modules

import (
	"slices"
	"strings"

	"runner/runtime/module"
)

// All lists the modules, sorted by name.
func All() []module.Module {
	var all []module.Module
	all = append(all, baseModules()...)
	all = append(all, commandModules()...)
	all = append(all, dnsModules()...)
	all = append(all, dovecotModules()...)
	all = append(all, fileModules()...)
	all = append(all, maildirModules()...)
	all = append(all, mysqlModules()...)
	all = append(all, postfixModules()...)
	all = append(all, probeModules()...)
	all = append(all, serviceModules()...)
	all = append(all,
		module.Define("tree_sync", "Copies a directory tree to another host", planTreeSync),
		module.Define("tree_sync.verify", "Compares a directory tree on two hosts, content too", planTreeVerify))
	all = append(all, waitModules()...)
	slices.SortFunc(all, func(a, b module.Module) int { return strings.Compare(a.Name, b.Name) })
	return all
}
