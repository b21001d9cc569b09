package maildir

import "strings"

// Summary tells a pass in a line: "copy 12 041 messages, 1.2 GiB; rename 331; quarantine 12".
func (p *Pass) Summary() string {
	c := &p.Counts
	var parts []string
	add := func(n int64, text string) {
		if n > 0 {
			parts = append(parts, text)
		}
	}
	add(c.Copy, "copy "+counted(c.Copy, "message", "messages")+", "+Size(c.CopyBytes))
	add(c.Rename, "rename "+Number(c.Rename))
	add(c.Link, "link "+Number(c.Link))
	add(c.Quarantine+c.FilesAway, "quarantine "+quarantined(c))
	add(c.Directories, "make "+counted(c.Directories, "directory", "directories"))
	add(c.Files, "write "+counted(c.Files, "other file", "other files"))
	add(c.Attributes, "correct owner, mode or time of "+Number(c.Attributes))
	if len(parts) == 0 && p.record.due() {
		parts = append(parts, "record the final pass of "+counted(p.record.Messages, "message", "messages"))
	}
	if len(parts) == 0 {
		parts = append(parts, "drop index caches")
	}
	return strings.Join(parts, "; ") + " (" + p.from.String() + " to " + p.to.String() + ")"
}

func quarantined(c *Counts) string {
	switch {
	case c.FilesAway == 0:
		return Number(c.Quarantine)
	case c.Quarantine == 0:
		return counted(c.FilesAway, "other file", "other files")
	}
	return Number(c.Quarantine) + " and " + counted(c.FilesAway, "other file", "other files")
}

// NextPass estimates the seconds that a pass right after this one would take: the directories of both sides, and the
// messages of the mailboxes that are not remembered as equal. What reaches the source meanwhile is little beside it.
func (p *Pass) NextPass() float64 {
	listed := p.Counts.Mailboxes - p.Counts.Skipped
	if listed <= 0 {
		return p.Listing.Seconds()
	}
	each := (p.Listing - p.trees).Seconds() / float64(listed)
	return p.trees.Seconds() + each*float64(p.Counts.Mailboxes-int64(p.kept))
}
