package maildir

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"runner/runtime/host"
	"runner/runtime/module"
)

// recordDir is the directory beside a root that holds what must be remembered about it: /var/vmail.runner.
func recordDir(root string) string { return root + ".runner" }

// recordID names a source in the records of a target.
func recordID(from side) string {
	sum := sha256.Sum256([]byte(from.view.Name() + "\x00" + from.root))
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
			return r
		}
		return '_'
	}, from.view.Name())
	return name + "-" + hex.EncodeToString(sum[:4])
}

// Record is what is kept of the last final pass from one source.
type Record struct {
	Version  int       `json:"version"`
	From     string    `json:"from"`
	Path     string    `json:"path"`
	Time     time.Time `json:"time"`
	Messages int64     `json:"messages"`
	Bytes    int64     `json:"bytes"`
	Digest   string    `json:"digest"`         // SHA-256 of what the sums of all accounts come to, in hex
	Keys     string    `json:"keys,omitempty"` // what accounts are called by; see Layout.keyed
}

const recordVersion = 2

// manifest stands for all messages of a source at a final pass: a sum for each account. Late passes go by it.
type manifest struct {
	Record
	id       string
	sections map[string][]*sum // by the key of an account: the sums of its mailboxes
	differ   bool              // from what the target holds
}

const manifestTitle = "runner maildir manifest 1\n"

func newManifest(from side, keys string, now time.Time) *manifest {
	return &manifest{
		Record:   Record{Version: recordVersion, From: from.view.Name(), Path: from.root, Time: now.UTC().Truncate(time.Second), Keys: keys},
		id:       recordID(from),
		sections: map[string][]*sum{},
	}
}

func (m *manifest) add(home string, s *sum) { m.sections[home] = append(m.sections[home], s) }

// finish compares the manifest with what the target has on record. What that says of accounts that the pass was not about stays.
func (m *manifest) finish(ctx context.Context, to side, choose *selection) error {
	old, err := readRecord(ctx, to, m.id)
	if err != nil {
		return err
	}
	if old != nil && (len(choose.domains) > 0 || len(choose.users) > 0) {
		sections, err := readManifest(ctx, to, m.id, old)
		if err != nil {
			return err
		}
		if err := old.sameKeys(m.Keys, to); err != nil {
			return err
		}
		for home, list := range sections {
			if !choose.takesKey(home) {
				m.sections[home] = list
			}
		}
	}
	for _, list := range m.sections {
		for _, s := range list {
			m.Messages += s.count
			m.Bytes += s.bytes
		}
	}
	m.Digest = digestOf(m.sections)
	m.differ = old == nil || old.Digest != m.Digest
	return nil
}

// digestOf stands for the content of a manifest, and does not depend on the order of mailboxes and messages.
func digestOf(sections map[string][]*sum) string {
	var b []byte
	for _, home := range slices.Sorted(maps.Keys(sections)) {
		b = appendTotals(appendText(b, home), sections[home])
	}
	digest := sha256.Sum256(b)
	return hex.EncodeToString(digest[:])
}

func (m *manifest) encode() []byte {
	size := 0
	for home, list := range m.sections {
		size += len(home) + 64
		for _, s := range list {
			size += len(s.hashes)
		}
	}
	return seal(manifestTitle, size, func(b []byte) []byte {
		for _, home := range slices.Sorted(maps.Keys(m.sections)) {
			b = encodeSums(appendText(b, home), m.sections[home])
		}
		return b
	})
}

// sameKeys refuses a record whose accounts are called by something else: none of its messages would be known.
func (r *Record) sameKeys(keys string, holder side) error {
	if r.Keys == keys {
		return nil
	}
	return fmt.Errorf("cannot use the record of the final pass in %s of %s: path and target were others then (patterns or not, with or without domains); give the same", recordDir(holder.root), holder.view.Name())
}

// due says that the manifest has to be written.
func (m *manifest) due() bool { return m != nil && m.differ }

// save writes the manifest beside the target's root. The list comes first: a record without its list must not exist.
func (m *manifest) save(ctx context.Context, h *host.Host, root string) error {
	if err := makeRecordDir(ctx, h, root); err != nil {
		return err
	}
	name := recordDir(root) + "/final-" + m.id
	if err := h.WriteFile(ctx, name+".list", m.encode(), host.Attr{Mode: 0o600, UID: -1, GID: -1}); err != nil {
		return err
	}
	// A new final pass begins a new time after it.
	if err := h.Files().Remove(ctx, recordDir(root)+"/late-"+m.id+".list"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeJSON(ctx, h, name+".json", m.Record); err != nil {
		return err
	}
	return syncDir(ctx, h.View, recordDir(root))
}

// readManifest reads the sections of a manifest.
func readManifest(ctx context.Context, holder side, id string, r *Record) (map[string][]*sum, error) {
	name := recordDir(holder.root) + "/final-" + id + ".list"
	text, err := readAll(ctx, holder.view, name)
	if err == nil {
		text, err = unseal(manifestTitle, text)
	}
	sections := map[string][]*sum{}
	d := decoder{rest: text}
	for err == nil && len(d.rest) > 0 {
		home := d.text()
		sections[home] = []*sum{d.sum()}
		err = d.err
	}
	if err == nil && digestOf(sections) != r.Digest {
		err = errors.New("it is not the one that its record speaks of")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s on %s: %w; without it nobody knows which messages the final pass had", name, holder.view.Name(), err)
	}
	return sections, nil
}

func readAll(ctx context.Context, v *host.View, name string) ([]byte, error) {
	f, err := v.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

func writeJSON(ctx context.Context, h *host.Host, name string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return h.WriteFile(ctx, name, append(text, '\n'), host.Attr{Mode: 0o600, UID: -1, GID: -1})
}

func makeRecordDir(ctx context.Context, h *host.Host, root string) error {
	dir := recordDir(root)
	if _, err := h.Lstat(ctx, dir); err == nil {
		return nil
	}
	if err := h.Files().Mkdir(ctx, dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cannot make %s on %s: %w", dir, h.Name(), err)
	}
	return nil
}

// readRecord reads the record of a source; nil when there is none.
func readRecord(ctx context.Context, to side, id string) (*Record, error) {
	name := recordDir(to.root) + "/final-" + id + ".json"
	var r Record
	if ok, err := readJSON(ctx, to.view, name, &r); !ok || err != nil {
		return nil, err
	}
	if r.Version != recordVersion {
		return nil, fmt.Errorf("cannot read %s on %s: it was written by another version of runner (%d)", name, to.view.Name(), r.Version)
	}
	return &r, nil
}

func readJSON(ctx context.Context, v *host.View, name string, into any) (bool, error) {
	text, err := v.ReadFile(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return false, fmt.Errorf("cannot read %s on %s: %w", name, v.Name(), err)
	}
	return true, nil
}

// known is the set of messages that a late pass must not bring again: those of the final pass, and those that late passes
// brought since. It holds 8 bytes for each.
type known struct {
	hashes []uint64
	late   []string // lines of the list of late passes, as they were read
}

// lookKnown reads the manifest of the final pass between two sides.
func lookKnown(ctx context.Context, o *Options, from, to side) (*known, error) {
	holder, source := to, from
	if o.Mode == Reverse {
		holder, source = from, side{to.view, o.Target}
	}
	id, record, err := findRecord(ctx, holder, source)
	if err != nil {
		return nil, err
	}
	if record == nil {
		return nil, module.Absent(fmt.Errorf("cannot make a %s pass from %s to %s: no final pass is on record in %s of %s, so nobody knows which messages are new",
			o.Mode, from, to, recordDir(holder.root), holder.view.Name()))
	}
	if err := record.sameKeys(o.TargetLayout.keyed(), holder); err != nil {
		return nil, err
	}
	k := &known{}
	sections, err := readManifest(ctx, holder, id, record)
	if err != nil {
		return nil, err
	}
	for _, list := range sections {
		for _, s := range list {
			for b := s.hashes; len(b) > 0; b = b[8:] {
				k.hashes = append(k.hashes, binary.BigEndian.Uint64(b))
			}
		}
	}
	if err := k.readLate(ctx, to, recordID(from)); err != nil {
		return nil, err
	}
	slices.Sort(k.hashes)
	return k, nil
}

// findRecord looks for the record of a source; where it has none of that name but only one of any, it takes that.
func findRecord(ctx context.Context, holder, source side) (string, *Record, error) {
	id := recordID(source)
	r, err := readRecord(ctx, holder, id)
	if r != nil || err != nil {
		return id, r, err
	}
	list, err := Records(ctx, holder.view, holder.root)
	if err != nil || len(list) != 1 {
		return "", nil, err
	}
	for only := range list {
		r, err = readRecord(ctx, holder, only)
		return only, r, err
	}
	return "", nil, nil
}

// Records are the final passes on record for a root, by the name of their record.
func Records(ctx context.Context, v *host.View, root string) (map[string]*Record, error) {
	found := map[string]*Record{}
	files, err := v.ReadDir(ctx, recordDir(root))
	if errors.Is(err, fs.ErrNotExist) {
		return found, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot look at the records of %s on %s: %w", root, v.Name(), err)
	}
	for _, f := range files {
		id, ok := strings.CutPrefix(nameOf(f.Path), "final-")
		if id, isJSON := strings.CutSuffix(id, ".json"); ok && isJSON {
			if found[id], err = readRecord(ctx, side{v, root}, id); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

func (k *known) readLate(ctx context.Context, to side, id string) error {
	text, err := to.view.ReadFile(ctx, recordDir(to.root)+"/late-"+id+".list")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read what earlier late passes brought to %s: %w", to, err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		home, stem, ok := strings.Cut(line, " ")
		if !ok {
			continue // the last line of a run that ended while it wrote
		}
		k.late = append(k.late, line)
		k.hashes = append(k.hashes, hashKnown(unescape(home), []byte(unescape(stem))))
	}
	return nil
}

func (k *known) has(home string, stem []byte) bool {
	_, ok := slices.BinarySearch(k.hashes, hashKnown(home, stem))
	return ok
}

// saveLate writes what late passes have brought, so that a message that a user then deletes is not brought again.
func (k *known) saveLate(ctx context.Context, h *host.Host, root, id string, brought []string) error {
	if len(brought) == 0 {
		return nil
	}
	if err := makeRecordDir(ctx, h, root); err != nil {
		return err
	}
	k.late = append(k.late, brought...)
	text := strings.Join(k.late, "\n") + "\n"
	if err := h.WriteFile(ctx, recordDir(root)+"/late-"+id+".list", []byte(text), host.Attr{Mode: 0o600, UID: -1, GID: -1}); err != nil {
		return err
	}
	return syncDir(ctx, h.View, recordDir(root))
}

func lateLine(home, stem string) string {
	return string(append(append(appendEscaped(nil, home), ' '), appendEscaped(nil, stem)...))
}

// hashBase is half of half a SHA-256: among a million messages the chance that any two are taken for one is one in 10^7.
func hashBase(stem []byte) uint64 {
	sum := sha256.Sum256(stem)
	return binary.BigEndian.Uint64(sum[:])
}

func hashKnown(home string, stem []byte) uint64 {
	b := make([]byte, 0, 256)
	b = append(append(append(b, home...), 0), stem...)
	return hashBase(b)
}

// appendEscaped writes a name without blanks and line ends: they, control characters and % become %XX.
func appendEscaped(b []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == '%' || c == 0x7f {
			b = append(b, '%', digits[c>>4], digits[c&15])
		} else {
			b = append(b, c)
		}
	}
	return b
}

func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(n))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}
