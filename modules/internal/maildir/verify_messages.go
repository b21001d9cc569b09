package maildir

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// messages compares mailbox by mailbox.
func (v *verifier) messages(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	boxes := map[string][2]*mailbox{}
	for _, m := range v.src.boxes {
		boxes[m.path] = [2]*mailbox{m, nil}
	}
	for _, m := range v.dst.boxes {
		if _, ok := v.src.homeFor(m.path); ok {
			boxes[m.path] = [2]*mailbox{boxes[m.path][0], m}
		}
	}
	var paths []string
	for p := range boxes {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	var readers [2]*messageReader
	for i, s := range []side{v.report.from, v.report.to} {
		var dirs []string
		for _, p := range paths {
			if m := boxes[p][i]; m != nil {
				dirs = append(dirs, join(m.at, "cur"), join(m.at, "new"))
			}
		}
		r, err := listMessages(ctx, s.view, "list the messages of "+s.String(), s.root, v.o.Stall, dirs)
		if err != nil {
			return err
		}
		defer r.close()
		r.strange = func(string, byte) {}
		readers[i] = r
	}
	for _, p := range paths {
		var sides [2]map[string]held
		for i, m := range boxes[p] {
			var err error
			if sides[i], err = readers[i].all(m); err != nil {
				return err
			}
		}
		v.box(p, boxes[p], sides[0], sides[1])
	}
	for _, r := range readers {
		if err := r.end(false); err != nil {
			return err
		}
	}
	return nil
}

// all reads a mailbox whole: messages by "cur/NAME" and "new/NAME".
func (r *messageReader) all(m *mailbox) (map[string]held, error) {
	list := map[string]held{}
	if m == nil {
		return list, nil
	}
	for _, dir := range []string{"cur", "new"} {
		err := r.directory(join(m.at, dir), func(m *message) error {
			list[dir+"/"+string(m.name)] = hold(m)
			return nil
		})
		if errors.Is(err, errVanished) {
			return nil, fmt.Errorf("cannot %s: %s has vanished; something still writes there", r.what, join(m.at, dir))
		}
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (v *verifier) box(path string, m [2]*mailbox, src, dst map[string]held) {
	d := v.report.domain(path)
	if m[0] != nil {
		v.report.Mailboxes++
		d.Mailboxes++
	}
	stems := map[string]string{} // of the target's messages that have no namesake on the source
	for name := range dst {
		if _, ok := src[name]; !ok {
			stems[string(base([]byte(nameOf(name))))] = name
		}
	}
	for _, name := range sortedNames(src) {
		want := src[name]
		v.report.Messages++
		v.report.Bytes += want.size
		d.Messages++
		d.Bytes += want.size
		if have, ok := dst[name]; ok {
			v.message(m, join(path, name), name, want, have)
			continue
		}
		stem := string(base([]byte(nameOf(name))))
		if other, ok := stems[stem]; ok {
			delete(stems, stem)
			kind := "flags"
			if dirOf(other) != dirOf(name) {
				kind = "new or cur"
			}
			v.report.differ(join(path, name), kind, "is called %q on %s", other, v.o.To.Name())
			continue
		}
		v.report.differ(join(path, name), "missing", "is missing on %s", v.o.To.Name())
	}
	for _, name := range sortedNames(dst) {
		if _, ok := src[name]; !ok && stems[string(base([]byte(nameOf(name))))] == name {
			v.report.differ(join(path, name), "too many", "is on %s only", v.o.To.Name())
		}
	}
}

func sortedNames(list map[string]held) []string {
	names := make([]string, 0, len(list))
	for n := range list {
		names = append(names, n)
	}
	slices.SortFunc(names, strings.Compare)
	return names
}

// message compares one that has the same name on both sides.
func (v *verifier) message(m [2]*mailbox, path, name string, want, have held) {
	if have.ids != v.owner {
		v.report.differ(path, "owner", "belongs to %d:%d, not to %d:%d", have.ids.uid, have.ids.gid, v.owner.uid, v.owner.gid)
	}
	if have.mode != want.mode&0o777 {
		v.report.differ(path, "mode", "has mode %04o, not %04o", have.mode, want.mode&0o777)
	}
	if have.time.sec != want.time.sec {
		v.report.differ(path, "time", "has another time of modification, which is its INTERNALDATE")
	}
	if have.size != want.size {
		v.report.differ(path, "size", "has %d bytes, not %d", have.size, want.size)
		return
	}
	if v.content {
		v.hash.add(work{from: join(m[0].at, name), to: join(m[1].at, name), size: want.size})
	}
}
