package modules

import "runner/runtime/module"

// baseModules are those that every kind of server needs.
func baseModules() []module.Module {
	return []module.Module{
		module.Define("archive", "Puts files of a host into a compressed archive with a manifest, and verifies it", planArchive),
		module.Define("cron", "Sees to it that a command is run at certain times", planCron),
		module.Define("facts", "Tells what a host is: system, memory, disks, addresses, programs", planFacts),
		module.Define("fetch", "Copies a file from a host to this machine", planFetch),
		module.Define("group", "Makes, changes and removes a group of users", planGroup),
		module.Define("http_check", "Asks for a page and checks the answer", planHTTPCheck),
		module.Define("package", "Installs, upgrades and removes Debian packages", planPackage),
		module.Define("put", "Copies a file from this machine to a host", planPut),
		module.Define("template", "Writes a file from a template on this machine", planTemplate),
		module.Define("user", "Makes, changes and removes a user", planUser),
	}
}
