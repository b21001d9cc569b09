package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"runner/lab/internal/container"
	"runner/lab/internal/seed"
)

// A host's root is an overlay of up to four layers. The lower ones lie in the cache, are never written to after they are complete,
// and are shared by all labs:
//
//	base       the installed packages of a Debian release
//	provision  the server's configuration
//	seed       of a mail server: domains, users, mail
//	upper      what the host itself wrote since it was last reset; in the lab's own directory
//
// A layer is named after a hash of everything that went into it and appears under its name when it is complete.
type layers struct {
	cache string
	say   func(format string, args ...any)
}

// stack is a host's read-only layers, topmost first.
type stack []string

// build returns the layer of that name, making it first if it is not there. make gets an empty directory.
func (c *layers) build(ctx context.Context, name, what string, make func(ctx context.Context, dir string) error) (string, error) {
	final := filepath.Join(c.cache, name)
	if err := os.MkdirAll(c.cache, 0o755); err != nil {
		return "", fmt.Errorf("cannot make the cache of the lab: %w", err)
	}
	// One builds, the others wait for it: several hosts need the same base, and several labs may start at once.
	unlock, err := lockFile(ctx, final+".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	now := time.Now()
	if err := os.Chtimes(final, now, now); err == nil {
		return final, nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	tmp := final + ".new" // a fixed name: what a killed run left is removed by the next
	if err := removeAll(ctx, tmp); err != nil {
		return "", err
	}
	if err := os.MkdirAll(tmp, 0o755); err != nil {
		return "", err
	}
	c.say("%s …", what)
	if err := make(ctx, tmp); err != nil {
		removeAll(context.WithoutCancel(ctx), tmp)
		return "", fmt.Errorf("cannot make %s: %w", what, err)
	}
	if err := os.Rename(tmp, final); err != nil {
		return "", err
	}
	c.say("%s: done in %s", what, time.Since(now).Round(100*time.Millisecond))
	return final, nil
}

// removeAll removes a directory in which processes of a killed run may still write for the moment that they need to end.
func removeAll(ctx context.Context, dir string) error {
	for end := time.Now().Add(10 * time.Second); ; {
		err := os.RemoveAll(dir)
		if err == nil || ctx.Err() != nil || time.Now().After(end) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// stackOf returns the layers of a host, making those that are missing.
func (c *layers) stackOf(ctx context.Context, l *Lab, h *Host, mirrors mirrors) (stack, error) {
	base, err := c.base(ctx, h, mirrors)
	if err != nil || h.isDNS() {
		return stack{base}, err
	}
	p, err := provisionOf(h)
	if err != nil {
		return nil, err
	}
	key := sum(filepath.Base(base), p.sum())
	provisioned, err := c.build(ctx, "provision-"+h.Name+"-"+h.Suite+"-"+key, "configuration of "+h.Hostname,
		func(ctx context.Context, dir string) error { return c.provision(ctx, h, p, stack{base}, dir) })
	if err != nil {
		return nil, err
	}
	if h.Vmail == "" {
		return stack{provisioned, base}, nil
	}
	s := seed.For(h.Name, l.Options.Messages, h.Shape)
	key = sum(key, seed.Sum(), seedScript, s.Host, fmt.Sprint(s.Messages))
	seeded, err := c.build(ctx, "seed-"+h.Name+"-"+h.Suite+"-"+key, fmt.Sprintf("mail of %s (%d messages)", h.Hostname, s.Messages),
		func(ctx context.Context, dir string) error { return c.seed(ctx, h, s, stack{provisioned, base}, dir) })
	if err != nil {
		return nil, err
	}
	return stack{seeded, provisioned, base}, nil
}

// provision runs the provisioning script; what it changes becomes the layer.
func (c *layers) provision(ctx context.Context, h *Host, p *provision, lower stack, dir string) error {
	for name, data := range p.files {
		if err := lower.write(dir, name, data, 0o644); err != nil {
			return err
		}
	}
	return c.run(ctx, h, lower, dir, []string{"/bin/sh", p.script}, p.env)
}

// seed lays the mail down and lets the host's own Dovecot and MariaDB do the rest.
func (c *layers) seed(ctx context.Context, h *Host, s *seed.Seed, lower stack, dir string) error {
	const uid = 5000 // vmail
	if err := lower.mkdir(dir, h.Vmail); err != nil {
		return err
	}
	if err := s.Write(ctx, filepath.Join(dir, h.Vmail), uid, uid); err != nil {
		return err
	}
	files := map[string]string{"/provision/seed.sh": seedScript, "/provision/seed.sql": s.SQL()}
	for _, session := range s.Sessions() {
		files["/provision/imap/"+session.Email] = session.Commands
	}
	for name, data := range files {
		if err := lower.write(dir, name, []byte(data), 0o644); err != nil {
			return err
		}
	}
	return c.run(ctx, h, lower, dir, []string{"/bin/sh", "/provision/seed.sh"}, []string{"PATH=" + hostPath, "HOME=/root", "LAB_SHAPE=" + h.Shape, "LAB_VMAIL=" + h.Vmail})
}

// run executes a program as PID 1 of a container without network, with upper on top of lower. /provision is not kept.
func (c *layers) run(ctx context.Context, h *Host, lower stack, upper string, argv, env []string) error {
	scratch := upper + ".run" // fixed, too
	if err := os.RemoveAll(scratch); err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	spec := container.Spec{
		Hostname: h.Hostname, Lower: lower, Upper: upper, Argv: argv, Env: env,
		Work: filepath.Join(scratch, "work"), Merged: filepath.Join(scratch, "root"),
		Console: filepath.Join(scratch, "console.log"), PIDFile: filepath.Join(scratch, "pid.json"),
	}
	for _, d := range []string{spec.Work, spec.Merged} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	if err := container.Run(ctx, spec); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(upper, "provision"))
}

// mkdir makes a directory and its parents in upper, with owner and mode of those of the same name below: a directory of the
// upper layer decides about both.
func (s stack) mkdir(upper, dir string) error {
	dir = filepath.Clean("/" + dir)
	if dir == "/" {
		return nil
	}
	if err := s.mkdir(upper, filepath.Dir(dir)); err != nil {
		return err
	}
	path := filepath.Join(upper, dir)
	if err := os.Mkdir(path, 0o755); errors.Is(err, os.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	for _, layer := range s {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(layer, dir), &st); err != nil {
			continue
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			return fmt.Errorf("cannot make %s in a layer: it is no directory below", dir)
		}
		if err := os.Chown(path, int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
		return unix.Chmod(path, st.Mode&0o7777)
	}
	return nil
}

// write puts a file into upper.
func (s stack) write(upper, name string, data []byte, mode os.FileMode) error {
	if err := s.mkdir(upper, filepath.Dir(name)); err != nil {
		return err
	}
	return writeFile(filepath.Join(upper, name), data, mode)
}

// lockFile takes an exclusive lock on a file and waits for it, but not longer than ctx.
func lockFile(ctx context.Context, name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("cannot open the lock %s: %w", name, err)
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("cannot lock %s: %w", name, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
