package authority

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Clock remembers what the servers of a domain said and for how long caches were allowed to remember it. A resolver that was told an answer
// right before it changed goes on saying it for the whole of its TTL, so the last cache forgets it when the answer was last seen served and its
// TTL are over, and not when the new answer is there; lowering a TTL helps from then on and not before.
type Clock struct {
	Answers []Heard `json:"answers"`
}

// Heard is one answer that was served.
type Heard struct {
	Says  string    `json:"says"`
	TTL   int64     `json:"ttl"`            // seconds
	First time.Time `json:"first"`          // when it was first heard
	Last  time.Time `json:"last"`           // when it was last heard
	Ended time.Time `json:"ended,omitzero"` // when it was known that no server says it any more; zero: some may
}

// Gone is when the last cache has forgotten the answer; zero while it may still be served.
func (h Heard) Gone() time.Time {
	if h.Ended.IsZero() {
		return time.Time{}
	}
	return h.Ended.Add(time.Duration(h.TTL) * time.Second)
}

// keepHeard is how long answers are remembered after caches have forgotten them, to tell of.
const keepHeard = 30 * 24 * time.Hour

// Observe takes what all servers say at a moment. complete says that every one of them is known: only then an answer that none gives
// is known to have ended, and it ended at that moment at the latest.
func (c *Clock) Observe(now time.Time, said []Heard, complete bool) {
	now = now.UTC().Truncate(time.Second)
	for _, s := range said {
		i := slices.IndexFunc(c.Answers, func(h Heard) bool { return h.Says == s.Says && h.TTL == s.TTL })
		if i < 0 {
			c.Answers = append(c.Answers, Heard{Says: s.Says, TTL: s.TTL, First: now, Last: now})
			continue
		}
		c.Answers[i].Last, c.Answers[i].Ended = now, time.Time{}
	}
	for i, h := range c.Answers {
		if complete && h.Ended.IsZero() && !slices.ContainsFunc(said, func(s Heard) bool { return s.Says == h.Says && s.TTL == h.TTL }) {
			c.Answers[i].Ended = now
		}
	}
	c.Answers = slices.DeleteFunc(c.Answers, func(h Heard) bool { return !h.Ended.IsZero() && now.Sub(h.Gone()) > keepHeard })
}

// Stale is the answer other than says that a cache can hold the longest, and whether one still can.
func (c *Clock) Stale(now time.Time, says string) (Heard, bool) {
	return c.last(func(h Heard) bool { return h.Says != says && h.Gone().After(now) })
}

// Longer is the same answer with a larger TTL than now that a cache can hold the longest: until then a change of the answer is not seen by all.
func (c *Clock) Longer(now time.Time, says string, ttl int64) (Heard, bool) {
	return c.last(func(h Heard) bool { return h.Says == says && h.TTL > ttl && h.Gone().After(now) })
}

func (c *Clock) last(fits func(Heard) bool) (found Heard, ok bool) {
	for _, h := range c.Answers {
		if fits(h) && (!ok || h.Gone().After(found.Gone())) {
			found, ok = h, true
		}
	}
	return found, ok
}

// LoadClock reads a clock; one that is not there yet is empty.
func LoadClock(file string) (*Clock, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return &Clock{}, nil
	}
	if err != nil {
		return nil, err
	}
	c := &Clock{}
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", file, err)
	}
	return c, nil
}

// Save writes the clock, whole or not at all.
func (c *Clock) Save(file string) error {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".clock-*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
