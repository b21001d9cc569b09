package host

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
)

// level is a host at one privilege level: the user who logs in, or root through sudo.
type level struct {
	*link
	sudo  bool
	pool  *pool
	lines lines
	files *remoteFiles

	mu    sync.Mutex
	facts *Facts
}

func newLevel(k *link, sudo bool) *level {
	l := &level{link: k, sudo: sudo}
	l.pool = newPool(l)
	l.files = newRemoteFiles(l)
	return l
}

func (l *level) Name() string { return l.name }

// Local is also true of root's level when the runner itself is root.
func (l *level) Local() bool { return l.options.Local && (!l.sudo || os.Geteuid() == 0) }

func (l *level) Files() Files {
	if l.Local() {
		return diskFiles{}
	}
	return l.files
}

func (l *level) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := l.connect(ctx)
	if err != nil {
		return nil, err
	}
	c, err := conn.Dial(ctx, network, address)
	if err != nil && lost(conn) {
		return nil, l.lostError(conn)
	}
	return c, err
}

// Sudo is the host as root. That it can be is found out now, so that the error comes here and not in the middle of something.
func (l *level) Sudo(ctx context.Context) (Backend, error) {
	if l.sudo {
		return l, nil
	}
	uid, err := l.uid(ctx)
	if err != nil {
		return nil, err
	}
	if uid == 0 {
		return l, nil
	}
	if _, err := l.root.uid(ctx); err != nil {
		return nil, err
	}
	return l.root, nil
}

// uid is the numeric user that commands run as.
func (l *level) uid(ctx context.Context) (int, error) {
	sh, err := l.pool.take(ctx)
	if err != nil {
		return 0, err
	}
	l.pool.give(sh)
	return sh.uid, nil
}

// drop lets go of everything that depends on the connection.
func (l *level) drop() {
	l.pool.drop()
	l.lines.drop()
	l.files.drop()
}

// check refuses what no shell can pass on.
func check(c Command) error {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return fmt.Errorf("cannot run a command without a name")
	}
	if strings.HasPrefix(c.Argv[0], "-") {
		return fmt.Errorf("cannot run %s: no program is called so", brief(c))
	}
	for _, word := range c.Argv {
		if strings.IndexByte(word, 0) >= 0 {
			return fmt.Errorf("cannot run %s: an argument holds a NUL byte, which no program can be given", brief(c))
		}
	}
	if strings.IndexByte(c.Dir, 0) >= 0 {
		return fmt.Errorf("cannot run %s: the name of the working directory holds a NUL byte", brief(c))
	}
	for name, value := range c.Env {
		if !envName(name) {
			return fmt.Errorf("cannot run %s: %q is no name of an environment variable", brief(c), name)
		}
		if strings.IndexByte(value, 0) >= 0 {
			return fmt.Errorf("cannot run %s: the environment variable %s holds a NUL byte", brief(c), name)
		}
	}
	return nil
}

func envName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || i > 0 && c >= '0' && c <= '9') {
			return false
		}
	}
	return s != ""
}
