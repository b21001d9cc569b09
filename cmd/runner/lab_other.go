//go:build !linux

package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

func maybeBootHost() {}

// newLabCommand is runner lab where there is none: its hosts are containers of the Linux kernel.
func newLabCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "lab",
		Short:              "Throw-away mail servers, for rehearsal: on Linux only",
		DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return fmt.Errorf("cannot start the lab: its hosts are containers of Linux, and this is %s; run it on a Linux machine", runtime.GOOS)
		},
	}
}
