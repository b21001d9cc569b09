package maildir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"runner/runtime/host"
	"runner/runtime/module"
)

// Mode is what a pass may do; design of the four modes: the source can be in use or quiet, the target closed or in use.
type Mode string

// The modes.
const (
	Warm    Mode = "warm"    // source in use, target closed: add and rename, remove nothing
	Final   Mode = "final"   // source quiet, target closed: make equal
	Late    Mode = "late"    // target in use: add what reached the source after the final pass
	Reverse Mode = "reverse" // the same, back to where the final pass came from
)

// adds says that the target is in use and only gets new messages.
func (m Mode) adds() bool { return m == Late || m == Reverse }

// Options say what a pass is about.
type Options struct {
	From, To     *host.View
	Path, Target string // absolute paths of the two roots
	Layout       Layout // where mailboxes lie below Path; its own root is not looked at
	TargetLayout Layout // the same below Target: both are patterns, or none
	Mode         Mode
	Domains      []string
	Users        []string
	Exclude      []string
	Limit        Limit
	Owner        string // "user", "user:group", names or numbers of the target; empty: see [ids]
	Lowercase    bool   // directories of domains and users get small letters on the target
	Streams      int    // transfers at once; 0: as many as fit the cores
	Rate         int64  // bytes per second read from the source; 0: no limit
	Compress     Compress
	Stall        time.Duration
	StateDir     string // where the runner remembers the last pass; empty: nowhere
	Full         bool   // list everything, whatever is remembered
	Now          func() time.Time

	recent     time.Duration // how old the times of a directory must be to be trusted; 0: recent
	batchFiles int           // bounds of one transfer; 0: batchFiles, batchBytes
	batchBytes int64
}

// DefaultStall is how long a listing or a transfer may give no sign of life before it is given up.
const DefaultStall = 5 * time.Minute

func (o *Options) complete() {
	if o.Stall == 0 {
		o.Stall = DefaultStall
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Compress == "" {
		o.Compress = CompressAuto
	}
	if o.recent == 0 {
		o.recent = recent
	}
	if o.batchFiles == 0 {
		o.batchFiles, o.batchBytes = batchFiles, batchBytes
	}
	o.Path, o.Target = path.Clean(o.Path), path.Clean(o.Target)
}

// CheckRoot refuses a root that no pass may work below.
func CheckRoot(name, root string) error {
	switch {
	case !path.IsAbs(root):
		return fmt.Errorf("%s must be an absolute path, not %q", name, root)
	case path.Clean(root) == "/":
		return fmt.Errorf("%s must not be the root directory", name)
	case strings.ContainsRune(root, 0):
		return fmt.Errorf("%s holds a NUL byte", name)
	}
	return nil
}

// Limit is how many messages a pass may remove: a number, or a share of what the target holds.
type Limit struct {
	Count   int64
	Percent float64
	Share   bool // Percent counts, not Count
}

// ParseLimit reads "5%" or a number, as a string or as a number of a recipe; nil is 5 %.
func ParseLimit(v any) (Limit, error) {
	switch v := v.(type) {
	case nil:
		return Limit{Percent: 5, Share: true}, nil
	case float64:
		if v < 0 || v != math.Trunc(v) || v > 1<<53 {
			return Limit{}, fmt.Errorf("must be a number of messages or a share such as \"5%%\", not %v", v)
		}
		return Limit{Count: int64(v)}, nil
	case string:
		if share, ok := strings.CutSuffix(strings.TrimSpace(v), "%"); ok {
			if n, err := strconv.ParseFloat(strings.TrimSpace(share), 64); err == nil && n >= 0 && n <= 100 {
				return Limit{Percent: n, Share: true}, nil
			}
		} else if n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64); err == nil && n >= 0 {
			return Limit{Count: n}, nil
		}
		return Limit{}, fmt.Errorf("must be a number of messages or a share such as \"5%%\", not %q", v)
	}
	return Limit{}, fmt.Errorf("must be a number of messages or a share such as \"5%%\"")
}

// allows says how many of total messages may be removed. A share is rounded up, so that one message can always go.
func (l Limit) allows(total int64) int64 {
	if l.Share {
		return int64(math.Ceil(float64(total) * l.Percent / 100))
	}
	return l.Count
}

func (l Limit) String() string {
	if l.Share {
		return strconv.FormatFloat(l.Percent, 'g', -1, 64) + "%"
	}
	return strconv.FormatInt(l.Count, 10)
}

// ids are an owner as the target counts.
type ids struct{ uid, gid int }

// lookOwner finds the owner of what is written: as asked for, else the owner of the target's root unless that is the
// superuser, else vmail.
func lookOwner(ctx context.Context, o *Options) (ids, error) {
	if o.Owner != "" {
		user, group, _ := strings.Cut(o.Owner, ":")
		return lookIDs(ctx, o.To, user, group)
	}
	info, err := o.To.Stat(ctx, o.Target)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return ids{}, fmt.Errorf("cannot look at %s on %s: %w", o.Target, o.To.Name(), err)
	}
	if err == nil && info.UID != 0 {
		return ids{info.UID, info.GID}, nil
	}
	owner, err := lookIDs(ctx, o.To, "vmail", "")
	if err != nil {
		return ids{}, fmt.Errorf("%w; give owner = \"…\", the user that Dovecot reads mailboxes as", err)
	}
	return owner, nil
}

// lookIDs asks the host's user database; numbers are taken as they are.
func lookIDs(ctx context.Context, v *host.View, user, group string) (ids, error) {
	out, err := v.QueryScript(ctx, `
if [ -z "$1" ] || [ -n "$(printf %s "$1" | tr -d 0-9)" ]; then getent passwd "$1" | cut -d: -f3,4; else echo "$1:"; fi
if [ -z "$2" ] || [ -n "$(printf %s "$2" | tr -d 0-9)" ]; then getent group "$2" | cut -d: -f3; else echo "$2"; fi`, user, group)
	if err != nil {
		return ids{}, fmt.Errorf("cannot look up the user %q on %s: %w", user, v.Name(), err)
	}
	lines := append(out.Lines(), "", "")
	uid, gid, _ := strings.Cut(lines[0], ":")
	if group != "" {
		gid = lines[1]
	} else if gid == "" {
		gid = uid
	}
	var found ids
	if found.uid, err = strconv.Atoi(uid); err != nil {
		return ids{}, module.Absent(fmt.Errorf("cannot find the user %q on %s", user, v.Name()))
	}
	if found.gid, err = strconv.Atoi(gid); err != nil {
		return ids{}, module.Absent(fmt.Errorf("cannot find the group %q on %s", group, v.Name()))
	}
	return found, nil
}

// presentDomains are, where the directories of a root are domains, the directories of a side that the chosen domains are, and the domains that have none. Where the
// target writes small letters, a source's directory may have others than the domain was given in.
func presentDomains(ctx context.Context, s side, layout *Layout, domains []string, fold bool) (present, missing []string, err error) {
	if len(domains) == 0 {
		return nil, nil, nil
	}
	if !layout.byDomain() {
		return slices.Clone(domains), nil, nil // absentDomains finds out
	}
	entries, err := s.view.ReadDir(ctx, s.root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("cannot list the mailboxes of %s: %w", s, errNoRoot)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("cannot look for domains in %s: %w", s, err)
	}
	for _, d := range domains {
		found := false
		for _, e := range entries {
			if name := nameOf(e.Path); e.Mode.IsDir() && (name == d || fold && strings.EqualFold(name, d)) {
				present = append(present, name)
				found = true
			}
		}
		if !found {
			missing = append(missing, d)
		}
	}
	slices.Sort(present)
	return slices.Compact(present), missing, nil
}

// absentDomains are the domains asked for that no account is of, where presentDomains cannot tell them; missing are those that it found.
func absentDomains(src *tree, o *Options, from side, missing []string) ([]string, error) {
	if o.Layout.byDomain() {
		return missing, nil
	}
	have := map[string]bool{}
	for home := range src.homes {
		have[strings.ToLower(o.TargetLayout.domain(home))] = true
	}
	missing = slices.DeleteFunc(slices.Clone(o.Domains), func(d string) bool { return have[strings.ToLower(d)] })
	if len(missing) > 0 && len(missing) == len(o.Domains) {
		return nil, fmt.Errorf("cannot find the domain %s in %s", strings.Join(missing, ", "), from)
	}
	return missing, nil
}
