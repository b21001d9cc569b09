package proof

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// shown is how many differences are listed; the rest is counted.
const shown = 20

// Write shows the report as a table with a line for each domain, then the differences.
func (r *Report) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "accounts\tfolders\tmessages\tMiB\tfiles\tdifferences\t  domain")
	var all Row
	for _, row := range r.Rows {
		fmt.Fprintf(t, "%d\t%d\t%d\t%.1f\t%d\t%d\t  %s\n", row.Accounts, row.Folders, row.Messages, float64(row.Bytes)/(1<<20), row.Files, len(row.Differences), row.Domain)
		all.Accounts += row.Accounts
		all.Folders += row.Folders
		all.Messages += row.Messages
		all.Bytes += row.Bytes
		all.Files += row.Files
	}
	differences := r.Differences()
	fmt.Fprintf(t, "%d\t%d\t%d\t%.1f\t%d\t%d\t  all\n", all.Accounts, all.Folders, all.Messages, float64(all.Bytes)/(1<<20), all.Files, len(differences))
	if err := t.Flush(); err != nil {
		return err
	}
	for i, d := range differences {
		if i == shown {
			fmt.Fprintf(w, "... and %d more\n", len(differences)-shown)
			break
		}
		fmt.Fprintln(w, "  "+d)
	}
	var err error
	if len(differences) == 0 {
		_, err = fmt.Fprintf(w, "Equal: content, UIDs, UIDVALIDITY, flags, keywords, dates, subscriptions, owners, modes; every old password logs in (%.1f s).\n", r.Took.Seconds())
	}
	return err
}
