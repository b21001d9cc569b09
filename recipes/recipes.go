// Package recipes holds the stock recipes, which are part of the program.
package recipes

import "embed"

// FS holds the stock recipes, NAME.lua each, and the files that they require.
//
//go:embed *.lua
var FS embed.FS
