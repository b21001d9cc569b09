package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"runner/lab"
)

func labDNSCommand(o *lab.Options) *cobra.Command {
	c := &cobra.Command{
		Use:   "dns",
		Short: "Show or change the records of the lab's DNS server",
		Args:  noArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return showZones(c, o, nil) },
	}
	var ttl uint32
	set := &cobra.Command{
		Use:   "set TYPE NAME VALUE...",
		Short: "Replace records: set mx example.org mail-new.example.net",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 3 {
				return fmt.Errorf("cannot set a record: a type, a name and a value are needed, such as: set mx example.org mail-new.example.net")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			l, err := lab.Open(*o)
			if err != nil {
				return err
			}
			return l.SetRecords(c.Context(), args[0], args[1], ttl, args[2:]...)
		},
	}
	set.Flags().Uint32Var(&ttl, "ttl", lab.DefaultTTL, "TTL of the records, in seconds")
	unset := &cobra.Command{
		Use:   "unset TYPE NAME",
		Short: "Remove the records of a type",
		Args:  cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			l, err := lab.Open(*o)
			if err != nil {
				return err
			}
			return l.SetRecords(c.Context(), args[0], args[1], 0)
		},
	}
	change := &cobra.Command{
		Use:   "ttl SECONDS [ZONE...]",
		Short: "Set the TTL of all records of the zones, or of all mail domains",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var seconds uint32
			if _, err := fmt.Sscan(args[0], &seconds); err != nil {
				return fmt.Errorf("cannot set the TTL to %q: it must be a number of seconds", args[0])
			}
			l, err := lab.Open(*o)
			if err != nil {
				return err
			}
			return l.SetTTL(c.Context(), seconds, args[1:]...)
		},
	}
	show := &cobra.Command{
		Use:   "show [ZONE...]",
		Short: "Show zones, or those of all mail domains, as they are served",
		RunE:  func(c *cobra.Command, args []string) error { return showZones(c, o, args) },
	}
	c.AddCommand(show, set, unset, change)
	return c
}

func showZones(c *cobra.Command, o *lab.Options, zones []string) error {
	l, err := lab.Open(*o)
	if err != nil {
		return err
	}
	if len(zones) == 0 {
		for _, d := range l.Domains {
			zones = append(zones, d.Name)
		}
	}
	for _, zone := range zones {
		records, err := l.Records(c.Context(), zone)
		if err != nil {
			return err
		}
		writeZone(c.OutOrStdout(), zone, records)
	}
	return nil
}

func writeZone(w io.Writer, zone string, records []lab.Record) {
	fmt.Fprintf(w, "; %s\n", strings.TrimSuffix(zone, "."))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range records {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\n", r.Name, r.TTL, r.Type, r.Data)
	}
	t.Flush()
}
