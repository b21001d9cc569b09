package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"runner/lab"
	"runner/lab/proof"
	"runner/runtime/run"
)

const proveHelp = `Holds the new server of the lab against the old one after a move, trusting
nothing that the move reported: over IMAP as every user with the old password
(content, UIDs, UIDVALIDITY, flags, keywords, dates, subscriptions), on disk
(owner, mode, time, scripts), in the control database, and by sending mail to
the new server. The domain that stood on the new server before must be as it
was: let it be remembered before the move.

  runner lab prove --remember
  runner --yes --site /var/lib/runner-lab/site.lua recipes/wheezy-jessie.lua
  runner lab prove

Exit status: 0 equal, 1 something is different, 3 it could not be compared.`

func labProveCommand(o *lab.Options) *cobra.Command {
	var remember bool
	var p proof.Options
	c := &cobra.Command{
		Use:   "prove",
		Short: "Prove that a move in the lab lost and changed nothing",
		Long:  proveHelp,
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			l, err := lab.Open(*o)
			if err != nil {
				return err
			}
			if remember {
				return proof.Remember(ctx, l)
			}
			report, err := proof.Run(ctx, l, p)
			if report != nil {
				if werr := report.Write(c.OutOrStdout()); werr != nil {
					return werr
				}
			}
			if err != nil {
				return &run.Failure{Err: err, Code: 3}
			}
			if n := len(report.Differences()); n > 0 {
				return &run.Failure{Err: fmt.Errorf("the new server is not what the old one was: %d differences", n), Code: 1}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&remember, "remember", false, "write down what stands on the new server, before the move")
	c.Flags().StringSliceVar(&p.Users, "user", nil, "only these accounts, and only over IMAP")
	c.Flags().BoolVar(&p.NoDelivery, "no-delivery", false, "send no mail")
	return c
}
