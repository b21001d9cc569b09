package maildir

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"runner/runtime/host"
)

// treeScript lists directories and files below $1, but not the messages: cur, new and tmp are listed and not entered.
// The other arguments are where to start ("." or "./domain"). First comes the host's clock. Options and directives are
// those of findutils 4.4 (Debian 5); a -type stands before each -prune because find 4.4.0 may lack the type there otherwise.
// A path ends with NUL, as does the target of a symbolic link: a name can hold everything else.
func treeScript(enter bool) string {
	var skip strings.Builder
	for i, p := range cachePatterns {
		if i > 0 {
			skip.WriteString(" -o ")
		}
		skip.WriteString("-name " + host.Quote(p))
	}
	depth := ""
	if enter {
		depth = "-mindepth 1 "
	}
	return `LC_ALL=C; export LC_ALL
cd "$1" || exit 97
shift
date +%s || exit 98
exec find "$@" ` + depth + `-type d \( -name '` + ownPrefix + `*' -o -path './lost+found' \) -prune -o \
 -type d \( -name cur -o -name new -o -name tmp \) -printf '` + treeFormat + `' -prune -o \
 ! -type d \( ` + skip.String() + ` \) -o -printf '` + treeFormat + `'
`
}

const (
	treeFormat    = `%y %m %U %G %s %T@ %C@ %i %p\0%l\0`
	messageFormat = `%y %m %U %G %s %T@ %i %n %f\0`
)

// messageScript lists what lies directly in the directories whose paths arrive on standard input. The path of each
// directory comes before what it holds.
const messageScript = `LC_ALL=C; export LC_ALL
cd "$1" || exit 97
exec xargs -0 -r sh -c 'exec find "$@" -maxdepth 1 \( -type d -printf "D%p\0" -o -printf "` + messageFormat + `" \)' sh
`

// node is a directory or a file that is no message.
type node struct {
	path string // relative to the root, "" for the root itself
	at   string // the same on the host when names are mapped (lower case), else equal to path
	kind byte   // as find's %y: d f l, and p s b c D for what is left alone
	mode uint32
	uid  int
	gid  int
	size int64
	time stamp
	text string // target of a symbolic link

	inode uint64
	ctime stamp // time of the last change of the inode

	parent, child, next *node // in the tree: the first of what it holds, and the next one beside it
	halves              uint8 // which of cur and new it holds
}

// A directory that holds both is a mailbox.
const (
	halfCur = 1 << iota
	halfNew
	bothHalves = halfCur | halfNew
)

// holds notes what lies in a directory. One that lies elsewhere on the source says nothing of it.
func (n *node) holds(child *node) {
	child.next, n.child = n.child, child
	if half := halfOf(child); half != 0 && dirOf(child.at) == n.at {
		n.halves |= half
	}
}

// halfOf says which half of a mailbox a directory is called.
func halfOf(n *node) uint8 {
	if n.kind != 'd' {
		return 0
	}
	switch nameOf(n.at) {
	case "cur":
		return halfCur
	case "new":
		return halfNew
	}
	return 0
}

// readTree parses the output of treeScript: the clock of the host, then what each gets.
func readTree(r *bufio.Reader, each func(node) error) (now int64, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return 0, short(err)
	}
	if now, err = strconv.ParseInt(string(bytes.TrimSpace(line)), 10, 64); err != nil {
		return 0, fmt.Errorf("the listing begins with %q, not with the time", clip(string(line)))
	}
	for {
		record, err := field(r)
		if err == io.EOF {
			return now, nil
		}
		if err != nil {
			return now, err
		}
		n, err := parseNode(record)
		if err != nil {
			return now, err
		}
		text, err := field(r)
		if err != nil {
			return now, short(err)
		}
		n.text = string(text)
		if err := each(n); err != nil {
			return now, err
		}
	}
}

// field reads up to the next NUL. The end of the input inside a field is io.ErrUnexpectedEOF, between two io.EOF.
func field(r *bufio.Reader) ([]byte, error) {
	b, err := r.ReadSlice(0)
	switch {
	case err == nil:
		return b[:len(b)-1], nil
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("the listing holds a record of more than %d bytes", r.Size())
	case err == io.EOF && len(b) > 0:
		return nil, io.ErrUnexpectedEOF
	}
	return nil, err
}

func short(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func parseNode(b []byte) (node, error) {
	var n node
	f := fields{rest: b}
	n.kind = f.letter()
	n.mode = uint32(f.number(8, 32))
	n.uid = int(f.number(10, 32))
	n.gid = int(f.number(10, 32))
	n.size = int64(f.number(10, 63))
	n.time = f.time()
	n.ctime = f.time()
	n.inode = f.number(10, 64)
	path := string(f.rest)
	if f.bad {
		return n, fmt.Errorf("the listing holds a record that is none: %q", clip(string(b)))
	}
	if path == "." {
		return n, nil
	}
	rest, ok := strings.CutPrefix(path, "./")
	if !ok {
		return n, fmt.Errorf("the listing holds the path %q, which does not begin with ./", clip(path))
	}
	n.path, n.at = rest, rest
	return n, checkPath(rest)
}

func parseMessage(b []byte, m *message) (kind byte, err error) {
	f := fields{rest: b}
	kind = f.letter()
	m.mode = uint32(f.number(8, 32))
	m.uid = int(f.number(10, 32))
	m.gid = int(f.number(10, 32))
	m.size = int64(f.number(10, 63))
	m.time = f.time()
	m.inode = f.number(10, 64)
	m.links = f.number(10, 64)
	m.name = f.rest
	if f.bad {
		return 0, fmt.Errorf("the listing holds a record that is none: %q", clip(string(b)))
	}
	if bytes.IndexByte(m.name, '/') >= 0 || len(m.name) == 0 || len(m.name) > 255 || string(m.name) == "." || string(m.name) == ".." {
		return 0, fmt.Errorf("the listing holds %q, which is no name of a file", clip(string(m.name)))
	}
	return kind, nil
}

// fields cuts a record at its blanks.
type fields struct {
	rest []byte
	bad  bool
}

func (f *fields) next() []byte {
	i := bytes.IndexByte(f.rest, ' ')
	if i <= 0 {
		f.bad = true
		return nil
	}
	b := f.rest[:i]
	f.rest = f.rest[i+1:]
	return b
}

func (f *fields) letter() byte {
	b := f.next()
	if len(b) != 1 {
		f.bad = true
		return 0
	}
	return b[0]
}

// number reads digits only, without the sign, blanks and underscores that package strconv would take.
func (f *fields) number(radix uint64, bits uint) uint64 {
	b := f.next()
	var n uint64
	for _, c := range b {
		d := uint64(c - '0')
		if c < '0' || d >= radix || n > (1<<63)/radix*2 {
			f.bad = true
			return 0
		}
		n = n*radix + d
	}
	if bits < 64 && n>>bits != 0 {
		f.bad = true
	}
	return n
}

// time reads find's %T@: seconds, a point, and up to ten digits (old versions print a tenth, always 0).
func (f *fields) time() stamp {
	b := f.next()
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	whole, part, _ := bytes.Cut(b, []byte{'.'})
	inner := fields{rest: append(append(make([]byte, 0, 24), whole...), ' ')}
	s := stamp{sec: int64(inner.number(10, 62))}
	scale := int32(100_000_000)
	for _, c := range part {
		if c < '0' || c > '9' {
			f.bad = true
			return s
		}
		s.nsec += int32(c-'0') * scale
		scale /= 10
	}
	f.bad = f.bad || inner.bad || len(whole) == 0
	if negative {
		s = stamp{sec: -s.sec, nsec: 0}
	}
	return s
}

// listMessages starts the listing of the directories of mailboxes, in that order.
func listMessages(ctx context.Context, v *host.View, what, root string, stall time.Duration, dirs []string) (*messageReader, error) {
	if len(dirs) == 0 { // the root itself may not be there
		return &messageReader{ended: true, what: what}, nil
	}
	if direct(v) {
		w, err := openWalker(root)
		if err != nil {
			return nil, fmt.Errorf("cannot %s: %w", what, err)
		}
		return &messageReader{walker: w, what: what}, nil
	}
	s, err := ask(ctx, v, what, stall, paths(dirs), messageScript, root)
	if err != nil {
		return nil, err
	}
	return &messageReader{stream: s, in: bufio.NewReaderSize(s, 128<<10), what: what}, nil
}

// messageReader reads the output of messageScript directory by directory, or the directories themselves.
type messageReader struct {
	walker  *walker // where the runner is on the host
	name    []byte  // buffer for the names that it finds
	gone    error   // what it did not find any more
	stream  *stream // nil when there is nothing to list
	in      *bufio.Reader
	what    string
	head    string // directory whose entries come next, when it was read already
	ended   bool
	strange func(path string, kind byte) // told of what is neither message nor directory asked for
}

// errVanished says that a directory was not there any more.
var errVanished = errors.New("the directory has vanished")

// directory calls each with what lies in dir, which must be the next of the directories asked for that is still there.
func (r *messageReader) directory(dir string, each func(*message) error) error {
	if r.walker != nil {
		return r.walkDirectory(dir, each)
	}
	if r.head == "" && !r.ended {
		if err := r.advance(); err != nil {
			return err
		}
	}
	if r.head != dir {
		return errVanished
	}
	r.head = ""
	var m message
	for {
		b, err := field(r.in)
		if err == io.EOF {
			r.ended = true
			return nil
		}
		if err != nil {
			return r.fail(err)
		}
		if len(b) > 0 && b[0] == 'D' {
			head, err := r.header(b)
			if err != nil {
				return err
			}
			if below(head, dir) && head != dir {
				r.strange(head, 'd')
				continue
			}
			r.head = head
			return nil
		}
		kind, err := parseMessage(b, &m)
		if err != nil {
			return r.fail(err)
		}
		// maildir(5): names that begin with a dot are no messages.
		if kind != 'f' || m.name[0] == '.' {
			r.strange(join(dir, string(m.name)), kind)
			continue
		}
		if err := each(&m); err != nil {
			return err
		}
	}
}

func (r *messageReader) advance() error {
	b, err := field(r.in)
	if err == io.EOF {
		r.ended = true
		return nil
	}
	if err != nil {
		return r.fail(err)
	}
	if len(b) == 0 || b[0] != 'D' {
		return r.fail(fmt.Errorf("the listing holds %q before any directory", clip(string(b))))
	}
	r.head, err = r.header(b)
	return err
}

func (r *messageReader) header(b []byte) (string, error) {
	path, ok := strings.CutPrefix(string(b[1:]), "./")
	if !ok {
		return "", r.fail(fmt.Errorf("the listing holds the path %q, which does not begin with ./", clip(string(b))))
	}
	if err := checkPath(path); err != nil {
		return "", r.fail(err)
	}
	return path, nil
}

func (r *messageReader) fail(err error) error {
	return fmt.Errorf("cannot %s: %w", r.what, err)
}

// end waits for the end of the listing. Directories that were sent and never asked for are refused. Of a side in use
// directories may have gone.
func (r *messageReader) end(inUse bool) error {
	if r.head != "" {
		return r.fail(fmt.Errorf("the listing holds the directory %q out of turn", clip(r.head)))
	}
	if r.gone != nil && !inUse {
		return r.fail(r.gone)
	}
	if r.stream == nil {
		return nil
	}
	return listingError(r.what, r.stream.tolerate(inUse))
}

// close ends the listing before its end.
func (r *messageReader) close() {
	if r.stream != nil {
		r.stream.close()
	}
	if r.walker != nil {
		r.walker.close()
		r.walker = nil
	}
}
