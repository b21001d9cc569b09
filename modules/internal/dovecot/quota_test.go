package dovecot

import "testing"

func TestParseQuota(t *testing.T) {
	const head = "Quota name\tType\tValue\tLimit\t%\n"
	for text, want := range map[string]struct {
		kept, files string
		right       bool
	}{
		"files\t9\t395\t411\nsum\t9\t395\n": {"9 messages, 395 bytes", "9 messages, 395 bytes", true},
		"files\t9\t395\t411\nsum\t8\t395\n": {"8 messages, 395 bytes", "9 messages, 395 bytes", false},
		"files\t9\t395\t411\n":              {"not counted", "9 messages, 395 bytes", false},
		"files\t0\t0\t0\n":                  {"not counted", "0 messages, 0 bytes", true},
		"files\t0\t0\t0\nsum\t0\t0\n":       {"0 messages, 0 bytes", "0 messages, 0 bytes", true},
		"files\t9\t1000\t1030\n" + head + "User quota\tSTORAGE\t2\t1024\t0\nUser quota\tMESSAGE\t9\t-\t0\n":                {"9 messages, 2 KiB", "9 messages, 1000 bytes", true},
		"files\t9\t1000\t1030\n" + head + "User quota\tSTORAGE\t1\t1024\t0\nUser quota\tMESSAGE\t9\t-\t0\n":                {"9 messages, 1 KiB", "9 messages, 1000 bytes", false},
		"files\t1\t5\t5\n" + head + "A\tSTORAGE\t1\t-\t0\nA\tMESSAGE\t1\t-\t0\nB\tSTORAGE\t7\t-\t0\nB\tMESSAGE\t7\t-\t0\n": {"1 messages, 1 KiB", "1 messages, 5 bytes", true},
	} {
		q, err := ParseQuota("a@example.org", text)
		if err != nil || q.Kept() != want.kept || q.Files() != want.files || q.Right() != want.right {
			t.Errorf("%q: %q, %q, right: %v, %v", text, q.Kept(), q.Files(), q.Right(), err)
		}
	}
	for _, text := range []string{"", "sum\t1\t1\n", "files\t1\t5\t5\nFatal: Unknown command 'quota'\n"} {
		if q, err := ParseQuota("a@example.org", text); err == nil {
			t.Errorf("%q: %+v", text, q)
		}
	}
}
