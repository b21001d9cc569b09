package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"runner/lab"
)

const labHelp = `The rehearsal lab: throw-away Debian mail servers on this machine, to try a move
on.

Host old is a mail server in the shape that the ISPmail tutorial for Wheezy gave
it, with users and mail; host new is one in Jessie's shape; host dns is
authoritative for their domains. With --old-shape web both are web servers, and
the old one has a small shop. They see each other and this machine, and
nothing else. Needs root.

  runner lab up          set it up (minutes the first time, then seconds)
  runner lab shell old   look around as root
  runner lab dns set mx example.org mail-new.example.net --ttl 60
  runner lab reset       back to the seeded state
  runner lab down        remove it; the cache stays`

// maybeBootHost does not return in a process that is to become the init of a host of the lab.
func maybeBootHost() { lab.MaybeBootHost() }

// newLabCommand is runner lab.
func newLabCommand() *cobra.Command {
	var o lab.Options
	c := &cobra.Command{
		Use:   "lab",
		Short: "Throw-away mail servers on this machine, for rehearsal",
		Long:  labHelp,
		Args:  noArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.PersistentFlags().StringVar(&o.Name, "name", "", "name of the lab, where there are several (default \""+lab.DefaultName+"\")")
	c.PersistentFlags().StringVar(&o.Dir, "dir", "", "directory of its state (default \""+lab.DefaultDir+"\", with -NAME for another name)")
	c.AddCommand(labUpCommand(&o), labResetCommand(&o), labStatusCommand(&o), labShellCommand(&o), labDownCommand(&o), labDNSCommand(&o), labProveCommand(&o), labBootHostCommand())
	return c
}

func labUpCommand(o *lab.Options) *cobra.Command {
	c := &cobra.Command{
		Use:   "up",
		Short: "Set up the lab, or start what is off in it",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			return lab.Up(ctx, *o, c.OutOrStdout())
		},
	}
	f := c.Flags()
	f.StringVar(&o.OldSuite, "old-suite", "", "Debian release of the old server: "+choices(lab.OldSuites))
	f.StringVar(&o.NewSuite, "new-suite", "", "Debian release of the new server: "+choices(lab.NewSuites))
	f.StringVar(&o.NewSuite, "suite", "", "the same as --new-suite")
	f.StringVar(&o.OldShape, "old-shape", "", "release whose tutorial the old server was set up by: "+choices(lab.Shapes))
	f.BoolVar(&o.SecondOld, "second-old", false, "a second old server with other domains, for merges")
	f.IntVar(&o.Messages, "messages", 0, fmt.Sprintf("messages on the old server (default %d)", lab.DefaultMessages))
	f.StringVar(&o.Network, "network", "", "IPv4 network of the lab (default \""+lab.DefaultNetwork+"\")")
	f.StringVar(&o.Mirror, "mirror", "", "mirror of Debian (default: that of this machine's apt configuration)")
	f.StringVar(&o.Cache, "cache", "", "directory of root file systems, shared by all labs (default \""+lab.DefaultCache+"\")")
	f.BoolVar(&o.Install, "install", false, "install what this machine lacks")
	return c
}

func choices(list []string) string {
	return fmt.Sprintf("%s (default %q)", strings.Join(list, ", "), list[0])
}

func labResetCommand(o *lab.Options) *cobra.Command {
	return &cobra.Command{
		Use:   "reset [HOST...]",
		Short: "Put the hosts back to the seeded state",
		RunE: func(c *cobra.Command, args []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			return lab.Reset(ctx, *o, c.OutOrStdout(), args...)
		},
	}
}

func labDownCommand(o *lab.Options) *cobra.Command {
	var purge bool
	c := &cobra.Command{
		Use:   "down",
		Short: "Remove the lab; the cache and the keys stay",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			// Not interruptible: half a removal helps nobody, and it takes a second.
			if err := lab.Down(c.Context(), *o, c.OutOrStdout()); err != nil || !purge {
				return err
			}
			return lab.Purge(c.Context(), *o, c.OutOrStdout())
		},
	}
	c.Flags().BoolVar(&purge, "purge", false, "remove the keys and the cache, too, unless another lab uses it")
	c.Flags().StringVar(&o.Cache, "cache", "", "directory of root file systems (default \""+lab.DefaultCache+"\")")
	return c
}

func labStatusCommand(o *lab.Options) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the hosts and what they serve",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := interruptible(c.Context())
			defer stop()
			l, hosts, err := lab.Status(ctx, *o)
			if err != nil {
				return err
			}
			return showStatus(c.OutOrStdout(), l, hosts)
		},
	}
}

// showStatus writes a line per host. A host that does not serve all it should is an error.
func showStatus(w io.Writer, l *lab.Lab, hosts []lab.Health) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "HOST\tADDRESS\tNAME\tSYSTEM\tPID\tSTATE")
	bad := 0
	for _, h := range hosts {
		state := "serving"
		if h.PID == 0 {
			state = "off"
		}
		var silent []string
		for name, problem := range h.Serving {
			if problem != "" {
				silent = append(silent, name+": "+problem)
			}
		}
		if len(silent) > 0 {
			slices.Sort(silent)
			state = strings.Join(silent, "; ")
		}
		if state != "serving" {
			bad++
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s, %s\t%d\t%s\n", h.Host.Name, h.Host.Address, h.Host.Hostname, h.Host.Suite, h.Host.Init, h.PID, state)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "site: %s\n", l.Site)
	if bad > 0 {
		return fmt.Errorf("cannot call the lab %q up: %d of its %d hosts do not serve", l.Options.Name, bad, len(hosts))
	}
	return nil
}

func labShellCommand(o *lab.Options) *cobra.Command {
	c := &cobra.Command{
		Use:   "shell HOST [COMMAND...]",
		Short: "Open a root shell on a host, or run a command there",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("cannot open a shell: no host was given; runner lab status shows them")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			l, err := lab.Open(*o)
			if err != nil {
				return err
			}
			h, err := l.Host(args[0])
			if err != nil {
				return err
			}
			argv := args[1:]
			if len(argv) == 0 {
				argv = []string{"/bin/bash", "-l"}
			}
			cmd, err := h.Command(c.Context(), argv...)
			if err != nil {
				return err
			}
			cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, c.OutOrStdout(), c.ErrOrStderr()
			// Ctrl-C is for what runs on the host.
			signal.Ignore(os.Interrupt)
			defer signal.Reset(os.Interrupt)
			err = cmd.Run()
			if exit, ok := err.(*exec.ExitError); ok && exit.Exited() {
				os.Exit(exit.ExitCode())
			}
			return err
		},
	}
	c.Flags().SetInterspersed(false) // what follows the host is the command's
	return c
}

// labBootHostCommand is what runner is started as to become a host of the lab (see lab.MaybeBootHost, which a test
// program calls instead).
func labBootHostCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "boot-host STAGE",
		Short:  "A step of booting a host of the lab",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		Run:    func(*cobra.Command, []string) { lab.MaybeBootHost() },
	}
}

// interruptible ends the context with Ctrl-C or a request to terminate.
func interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}
