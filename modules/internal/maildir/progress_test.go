package maildir

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runner/runtime/module"
)

// TestProgressByDomain follows a pass: messages and bytes only grow, each report names a domain with its own numbers, and at the end
// every domain has all of its messages.
func TestProgressByDomain(t *testing.T) {
	eachWriter(t, func(t *testing.T, w *world) {
		for domain, count := range map[string]int{"example.org": 7, "example.net": 3} {
			box := makeBox(t, w.src, domain+"/john/Maildir")
			for i := range count {
				write(t, filepath.Join(box, "cur", fmt.Sprintf("%d.a:2,S", i)), "body", epoch)
			}
		}
		p, err := Look(context.Background(), w.with(Warm))
		must(t, err)
		if diff := cmp.Diff(map[string]int64{"example.org": 7, "example.net": 3}, p.Domains()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		var reports []module.Progress
		_, err = p.Apply(context.Background(), w.host(), func(r module.Progress) { reports = append(reports, r) })
		must(t, err)
		last := reports[len(reports)-1]
		if last.Done != 10 || last.Total != 10 || last.Bytes != 40 || last.TotalBytes != 40 || last.Unit != "messages" {
			t.Errorf("ends with %+v", last)
		}
		for name, s := range p.domains {
			if s.done != s.total || s.bytes != s.totalBytes || s.bytes != 4*s.total {
				t.Errorf("%s ends at %d of %d, %d of %d bytes", name, s.done, s.total, s.bytes, s.totalBytes)
			}
		}
	})
	now := epoch.Add(2 * time.Second)
	s := shares{"a.example": {done: 2, total: 1200, bytes: 4 << 20, totalBytes: 3 << 30, began: epoch}, "b.example": {done: 3, total: 3}}
	if got := s.detail("a.example", now); got != "of it 2/1 200, 4.0 MiB of 3.0 GiB, 2.0 MiB/s; 1 of 2 domains done" {
		t.Errorf("%q", got)
	}
	if got := s.detail("a.example", epoch); got != "of it 2/1 200, 4.0 MiB of 3.0 GiB; 1 of 2 domains done" {
		t.Errorf("%q", got)
	}
	if got := (shares{"a.example": {}}).detail("a.example", now); got != "" {
		t.Errorf("%q", got)
	}
}
