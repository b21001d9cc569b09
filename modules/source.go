package modules

import "embed"

// Source is the Go source of this package. The reference of the modules is made from its comments; see [module.Reference].
//
//go:embed *.go
var Source embed.FS
