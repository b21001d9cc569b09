package host

import (
	"context"
	"errors"
	"sync"
)

// maxShells is how many shells a privilege level keeps: a short command does not wait behind two long ones.
const maxShells = 3

// pool is the long-lived shells of a privilege level.
type pool struct {
	level *level
	busy  chan struct{} // one element for each shell in use

	mu   sync.Mutex
	idle []*shell
}

func newPool(l *level) *pool { return &pool{level: l, busy: make(chan struct{}, maxShells)} }

// take returns a shell that nobody uses. It is given back, or retired when it is of no more use.
func (p *pool) take(ctx context.Context) (*shell, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	select {
	case p.busy <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	for {
		s := p.pop()
		if s == nil {
			break
		}
		if !s.dead() {
			return s, nil
		}
		s.close()
	}
	s, err := newShell(ctx, p.level)
	if err != nil {
		<-p.busy
		return nil, err
	}
	return s, nil
}

func (p *pool) pop() *shell {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	s := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return s
}

func (p *pool) give(s *shell) {
	p.mu.Lock()
	p.idle = append(p.idle, s)
	p.mu.Unlock()
	<-p.busy
	p.level.places.nudge()
}

// retire ends a shell in use. Politely when something that it started may still hold its outputs.
func (p *pool) retire(s *shell, politely bool) {
	<-p.busy
	if politely {
		go s.quit()
		return
	}
	s.close()
}

// evict ends a shell that waits for work, if there is one.
func (p *pool) evict() bool {
	s := p.pop()
	if s == nil {
		return false
	}
	s.quit()
	return true
}

func (p *pool) drop() {
	for s := p.pop(); s != nil; s = p.pop() {
		s.close()
	}
}

// Exec runs a command in one of the shells, or, when it has input, in a channel of its own.
func (l *level) Exec(ctx context.Context, c Command) (Output, error) {
	if err := check(c); err != nil {
		return Output{}, err
	}
	if c.Stdin != nil {
		return l.execWithInput(ctx, c)
	}
	for again := true; ; {
		s, err := l.pool.take(ctx)
		if err != nil {
			return Output{}, err
		}
		out, err := s.run(ctx, c)
		var exit *ExitError
		switch {
		case err == nil, errors.As(err, &exit):
			l.pool.give(s)
			return out, err
		case errors.Is(err, errLeftBehind):
			l.pool.retire(s, true)
			continue
		}
		l.pool.retire(s, false)
		// Somebody ended the shell while it waited for work: nothing has been run, so another one may.
		if !again || !errors.Is(err, errNotBegun) {
			return out, err
		}
		again = false
	}
}
