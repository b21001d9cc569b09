package maildir

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"runner/runtime/host"
)

// Live is the mark that a target, or some domains of it, are in use: from then on nothing may be removed or renamed there.
type Live struct {
	Version int                  `json:"version"`
	Since   time.Time            `json:"since,omitzero"`    // of the whole root
	Domains map[string]time.Time `json:"domains,omitempty"` // of single domains
}

func liveFile(root string) string { return recordDir(root) + "/live.json" }

// ReadLive reads the mark of a root; the zero Live when there is none.
func ReadLive(ctx context.Context, v *host.View, root string) (*Live, error) {
	live := &Live{Version: recordVersion}
	if _, err := readJSON(ctx, v, liveFile(root), live); err != nil {
		return nil, err
	}
	if live.Version != recordVersion {
		return nil, fmt.Errorf("cannot read %s on %s: it was written by another version of runner (%d)", liveFile(root), v.Name(), live.Version)
	}
	return live, nil
}

// Covered says whether the mark already speaks of all of domains, or of the whole root when there are none.
func (l *Live) Covered(domains []string) bool {
	if !l.Since.IsZero() {
		return true
	}
	for _, d := range domains {
		if l.Domains[d].IsZero() {
			return false
		}
	}
	return len(domains) > 0
}

// Declare adds domains, or the whole root when there are none.
func (l *Live) Declare(domains []string, now time.Time) {
	now = now.UTC().Truncate(time.Second)
	if len(domains) == 0 {
		l.Since = now
		return
	}
	if l.Domains == nil {
		l.Domains = map[string]time.Time{}
	}
	for _, d := range domains {
		if l.Domains[d].IsZero() {
			l.Domains[d] = now
		}
	}
}

// Marks says whether the mark speaks of any of domains, or of anything when there are none.
func (l *Live) Marks(domains []string) bool {
	if !l.Since.IsZero() || len(domains) == 0 {
		return !l.Since.IsZero() || len(l.Domains) > 0
	}
	return slices.ContainsFunc(domains, func(d string) bool { return !l.Domains[d].IsZero() })
}

// Withdraw takes domains out of the mark, or everything when there are none. A mark of the whole root cannot do without a part.
func (l *Live) Withdraw(domains []string) error {
	switch {
	case len(domains) == 0:
		l.Since, l.Domains = time.Time{}, nil
	case !l.Since.IsZero():
		return errors.New("all of it was declared live at once, so single domains cannot be taken out; leave domains away")
	}
	for _, d := range domains {
		delete(l.Domains, d)
	}
	return nil
}

// WriteLive writes the mark.
func WriteLive(ctx context.Context, h *host.Host, root string, l *Live) error {
	if err := makeRecordDir(ctx, h, root); err != nil {
		return err
	}
	if err := writeJSON(ctx, h, liveFile(root), l); err != nil {
		return err
	}
	return syncDir(ctx, h.View, recordDir(root)) // a mark that is lost lets a pass undo what users have done
}

// covers finds something of a source that is live on the target.
func (l *Live) covers(src *tree) (what string, since time.Time, ok bool) {
	if !l.Since.IsZero() {
		return "it", l.Since, true
	}
	var domains []string
	for home := range src.homes {
		domains = append(domains, src.to.domain(home))
	}
	slices.Sort(domains)
	for _, d := range domains {
		if since, ok := l.Domains[d]; ok {
			return d, since, true
		}
		for of, since := range l.Domains {
			if d == "" { // the directories do not tell it: it may be this one
				return of, since, true
			}
		}
	}
	return "", time.Time{}, false
}
