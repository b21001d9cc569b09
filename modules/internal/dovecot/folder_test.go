package dovecot

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseStatus(t *testing.T) {
	text := "=== user john@example.org\n" +
		"mailbox\tmessages\tuidnext\tuidvalidity\nINBOX\t3\t9\t1300000000\nINBOX.Sent\t0\t1\t1300000001\nWork/2012 ä\t1\t2\t1300000002\n" +
		"=== user nobody@example.org\ndoveadm(nobody@example.org): Error: User doesn't exist\nFatal: more\n"
	want := []Folders{
		{User: "john@example.org", Folders: map[string]Folder{"INBOX": {3, 1300000000, 9}, "Sent": {0, 1300000001, 1}, "Work.2012 ä": {1, 1300000002, 2}}},
		{User: "nobody@example.org", Folders: map[string]Folder{}, Said: "doveadm(nobody@example.org): Error: User doesn't exist"},
	}
	if diff := cmp.Diff(want, ParseStatus(text)); diff != "" {
		t.Error(diff)
	}
}

func TestParseFolderFiles(t *testing.T) {
	text := "=== user john@example.org\n=== folder .\n3 1 3 V1300000000 N8 G0123\n=== folder .Work.&AOQ- & more\n0 0 1 1300000001 1\n=== folder .New\n2 2 \n" +
		"=== user mary@example.org\nno mailbox in /var/vmail/example.org/mary\n"
	want := []Folders{
		{User: "john@example.org", Folders: map[string]Folder{"INBOX": {3, 1300000000, 9}, "Work.ä & more": {0, 1300000001, 1}, "New": {2, 0, 0}}},
		{User: "mary@example.org", Folders: map[string]Folder{}, Said: "no mailbox in /var/vmail/example.org/mary"},
	}
	if diff := cmp.Diff(want, ParseFolderFiles(text)); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeUTF7(t *testing.T) {
	for coded, want := range map[string]string{
		"Entw&APw-rfe": "Entwürfe", "A&-B": "A&B", "&U,BTFw-": "台北", "plain": "plain", "broken&x": "broken&x", "&AP-": "&AP-", "&2D3eAA-": "😀",
	} {
		if got := decodeUTF7(coded); got != want {
			t.Errorf("%q: %q, not %q", coded, got, want)
		}
	}
}

func FuzzFolders(f *testing.F) {
	f.Add("=== user a\nmailbox\tmessages\tuidnext\tuidvalidity\nINBOX\t3\t9\t1\n=== folder .\n3 1 3 V1 N8\n")
	f.Fuzz(func(_ *testing.T, text string) {
		ParseStatus(text)
		ParseFolderFiles(text)
	})
}
