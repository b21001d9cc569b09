package dovecot

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Quota is what an account has used of its quota: by its files, and as Dovecot has it.
type Quota struct {
	User string
	// Messages by the files, and their bytes on the disk and with CR before each LF, as clients get them.
	Messages, Disk, Wire int64
	// What Dovecot keeps; Exact: in bytes on the disk, as maildirsize has it, and otherwise in whole KiB of what clients get.
	Known, Exact           bool
	KeptMessages, KeptSize int64
}

// ParseQuota reads of an account a line "files", messages, bytes on the disk, bytes for clients, and what is kept: "sum", messages, bytes; what `doveadm -f tab
// quota get` prints; or nothing. It is an error when doveadm complains.
func ParseQuota(user, text string) (Quota, error) {
	q := Quota{User: user}
	counted := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		cells := strings.Split(line, "\t")
		number := func(i int) int64 {
			n, _ := strconv.ParseInt(cells[i], 10, 64)
			return n
		}
		switch {
		case cells[0] == "files" && len(cells) == 4:
			q.Messages, q.Disk, q.Wire, counted = number(1), number(2), number(3), true
		case cells[0] == "sum" && len(cells) == 3:
			q.KeptMessages, q.KeptSize, q.Known, q.Exact = number(1), number(2), true, true
		case len(cells) == 5 && cells[1] == "STORAGE" && !q.Known: // of the first root
			q.KeptSize = number(2)
		case len(cells) == 5 && cells[1] == "MESSAGE" && !q.Known:
			q.KeptMessages, q.Known = number(2), true
		case len(cells) == 5 || strings.TrimSpace(line) == "":
		default:
			return q, errors.New(line)
		}
	}
	if !counted {
		return q, errors.New("nothing was counted")
	}
	return q, nil
}

// Right says whether what Dovecot keeps is what the files hold. An account that never had mail need not be counted.
func (q Quota) Right() bool {
	if !q.Known && q.Messages == 0 {
		return true
	}
	bytes := q.Disk
	if !q.Exact {
		bytes = (q.Wire + 1023) / 1024
	}
	return q.Known && q.KeptMessages == q.Messages && q.KeptSize == bytes
}

// Files is what the files hold, in words.
func (q Quota) Files() string { return fmt.Sprintf("%d messages, %d bytes", q.Messages, q.Disk) }

// Kept is what Dovecot keeps, in words.
func (q Quota) Kept() string {
	switch {
	case !q.Known:
		return "not counted"
	case q.Exact:
		return fmt.Sprintf("%d messages, %d bytes", q.KeptMessages, q.KeptSize)
	}
	return fmt.Sprintf("%d messages, %d KiB", q.KeptMessages, q.KeptSize)
}

// Remember is a line that holds as long as neither the mailbox changes nor what Dovecot keeps of it.
func (q Quota) Remember() string {
	return fmt.Sprintf("%s\t%d\t%d\t%s", q.User, q.Messages, q.Disk, q.Kept())
}
