package dovecot

import (
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"strings"
	"unicode/utf16"
)

// Folder is a mailbox of a user as a server serves it.
type Folder struct {
	Messages, Validity, Next int64 // as IMAP's MESSAGES, UIDVALIDITY and UIDNEXT (RFC 9051, 6.3.11)
}

// Folders are those of a user by name, without the prefix of a namespace and with dots between their parts, so that the names of
// two servers with different namespaces can be compared.
type Folders struct {
	User    string
	Folders map[string]Folder
	Said    string // why there are none, in doveadm's words
}

// FolderMark begins a folder in a listing of files: its directory's name, "." for the INBOX.
const FolderMark = "=== folder "

// ParseStatus reads what `doveadm -f tab mailbox status -u USER "messages uidvalidity uidnext" '*'` prints, for one user after the
// other, with UserMark before each.
func ParseStatus(text string) []Folders {
	var users []Folders
	var columns []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if name, ok := strings.CutPrefix(line, UserMark); ok {
			users, columns = append(users, Folders{User: name, Folders: map[string]Folder{}}), nil
			continue
		}
		if len(users) == 0 || line == "" {
			continue
		}
		u := &users[len(users)-1]
		cells := strings.Split(line, "\t")
		switch {
		case len(cells) == 4 && columns == nil:
			columns = cells
		case len(cells) == 4:
			f, name := Folder{}, ""
			for i, column := range columns {
				n, _ := strconv.ParseInt(cells[i], 10, 64)
				switch column {
				case "mailbox":
					name = cells[i]
				case "messages":
					f.Messages = n
				case "uidvalidity":
					f.Validity = n
				case "uidnext":
					f.Next = n
				}
			}
			u.Folders[canonical(name)] = f
		case u.Said == "":
			u.Said = line
		}
	}
	return users
}

// canonical is a folder's name without "INBOX." before it and with dots between its parts.
func canonical(name string) string {
	name = strings.ReplaceAll(name, "/", ".")
	if rest, ok := strings.CutPrefix(name, "INBOX."); ok && rest != "" {
		return rest
	}
	return name
}

// ParseFolderFiles reads a listing of files: after UserMark and FolderMark a line with how many messages there are, how many of them have no UID
// yet, and the first line of dovecot-uidlist, in version 3 ("3 V1300000000 N42 G…") or 1 ("1 1300000000 42"). A message without a UID gets
// the next one as soon as the server looks.
func ParseFolderFiles(text string) []Folders {
	var users []Folders
	folder := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if name, ok := strings.CutPrefix(line, UserMark); ok {
			users, folder = append(users, Folders{User: name, Folders: map[string]Folder{}}), ""
			continue
		}
		if name, ok := strings.CutPrefix(line, FolderMark); ok {
			folder = name
			continue
		}
		if len(users) == 0 {
			continue
		}
		u := &users[len(users)-1]
		if folder == "" {
			if u.Said == "" {
				u.Said = line
			}
			continue
		}
		name := "INBOX"
		if folder != "." {
			name = canonical(decodeUTF7(strings.TrimPrefix(folder, ".")))
		}
		u.Folders[name] = folderOf(strings.Fields(line))
		folder = ""
	}
	return users
}

func folderOf(words []string) (f Folder) {
	number := func(i int) int64 {
		if i >= len(words) {
			return 0
		}
		n, _ := strconv.ParseInt(strings.TrimLeft(words[i], "VN"), 10, 64)
		return n
	}
	f.Messages = number(0)
	if len(words) > 2 && words[2] == "3" {
		for i, w := range words[3:] {
			switch w[0] {
			case 'V':
				f.Validity = number(3 + i)
			case 'N':
				f.Next = number(3 + i)
			}
		}
	} else {
		f.Validity, f.Next = number(3), number(4)
	}
	if f.Next > 0 {
		f.Next += number(1)
	}
	return f
}

// decodeUTF7 reads the modified UTF-7 of folder names (RFC 3501, 5.1.3); what is none stays as it is.
func decodeUTF7(name string) string {
	var b strings.Builder
	for {
		plain, rest, found := strings.Cut(name, "&")
		b.WriteString(plain)
		if !found {
			return b.String()
		}
		coded, after, closed := strings.Cut(rest, "-")
		raw, err := base64.RawStdEncoding.DecodeString(strings.ReplaceAll(coded, ",", "/"))
		switch {
		case !closed || err != nil || len(raw)%2 != 0:
			b.WriteString("&" + rest)
			return b.String()
		case coded == "":
			b.WriteByte('&')
		default:
			units := make([]uint16, len(raw)/2)
			for i := range units {
				units[i] = binary.BigEndian.Uint16(raw[2*i:])
			}
			b.WriteString(string(utf16.Decode(units)))
		}
		name = after
	}
}
