package run

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Request is what a second terminal asks of a run: one JSON object on a line, answered by one [Reply] on a line.
type Request struct {
	Do   string `json:"do"`             // status, pause, continue, throttle, answer or stop
	Rate int64  `json:"rate,omitempty"` // of throttle: bytes per second; 0: as the recipe says
	Yes  bool   `json:"yes,omitempty"`  // of answer
	Who  string `json:"who,omitempty"`  // of answer: who gave it
}

// Reply says where the run stands after the request was done.
type Reply struct {
	Error    string   `json:"error,omitempty"`
	Was      bool     `json:"was,omitempty"` // the request changed something: it was not paused before, or it is the first stop
	Standing Standing `json:"standing"`
}

// ErrNoRun is the error of a request when no run of the site is going on.
var ErrNoRun = errors.New("no run of this site is going on")

// controlTime is how long either side waits for the other's line.
const controlTime = 10 * time.Second

// socket is the path of the control socket. Only the holder of the lock makes it.
func (s State) socket() string { return filepath.Join(s.Dir, "control") }

// socketAddress is a way to the socket that fits into sun_path, which has 108 bytes (unix(7)), however deep the state folder lies.
// The folder is kept open until done is called.
func (s State) socketAddress() (address string, done func(), err error) {
	path := s.socket()
	if len(path) < 100 {
		return path, func() {}, nil
	}
	dir, err := os.Open(s.Dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path)), func() { _ = dir.Close() }, nil
}

// Listen lets second terminals of the same user steer the run until end is called. The lock must be held: a socket that a killed
// run left behind is replaced.
func (w *Wheel) Listen(s State) (end func(), err error) {
	if err := s.make(); err != nil {
		return nil, err
	}
	address, done, err := s.socketAddress()
	if err != nil {
		return nil, fmt.Errorf("cannot open the control socket %s: %w", s.socket(), reason(err))
	}
	if err := os.Remove(s.socket()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		done()
		return nil, fmt.Errorf("cannot replace the control socket %s: %w", s.socket(), reason(err))
	}
	l, err := net.Listen("unix", address)
	if err != nil {
		done()
		return nil, fmt.Errorf("cannot open the control socket %s: %w", s.socket(), reason(err))
	}
	if err := os.Chmod(s.socket(), 0o600); err != nil {
		_ = l.Close()
		done()
		return nil, fmt.Errorf("cannot protect the control socket %s: %w", s.socket(), reason(err))
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { w.serve(c) })
		}
	})
	return func() {
		_ = l.Close() // removes the socket too
		all.Wait()
		done()
	}, nil
}

func (w *Wheel) serve(c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(controlTime))
	line, err := bufio.NewReaderSize(c, 4096).ReadSlice('\n')
	if err != nil {
		return
	}
	var q Request
	var r Reply
	if err := json.Unmarshal(line, &q); err != nil {
		r.Error = "cannot read the request: it is not JSON"
	} else {
		r = w.do(q)
	}
	r.Standing = w.Standing()
	_ = json.NewEncoder(c).Encode(r) // who asked may have gone
}

func (w *Wheel) do(q Request) (r Reply) {
	switch q.Do {
	case "status":
	case "pause":
		r.Was = w.Pause()
	case "continue":
		r.Was = w.Continue()
	case "throttle":
		w.Throttle(q.Rate)
		r.Was = true
	case "answer":
		r.Was = w.Answer(Answer{q.Yes, "runner answer, by " + q.Who})
	case "stop":
		r.Was = w.Stop()
	default:
		r.Error = fmt.Sprintf("cannot do %q: this run knows status, pause, continue, throttle, answer and stop", q.Do)
	}
	return r
}

// Send hands a request to the run of the site that is going on. The error is [ErrNoRun] when there is none.
func (s State) Send(ctx context.Context, q Request) (Reply, error) {
	address, done, err := s.socketAddress()
	if errors.Is(err, fs.ErrNotExist) {
		return Reply{}, ErrNoRun
	}
	if err != nil {
		return Reply{}, fmt.Errorf("cannot reach the run: %w", reason(err))
	}
	defer done()
	c, err := (&net.Dialer{Timeout: controlTime}).DialContext(ctx, "unix", address)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return Reply{}, ErrNoRun
	}
	if err != nil {
		return Reply{}, fmt.Errorf("cannot reach the run through %s: %w", s.socket(), reason(err))
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(controlTime))
	if err := json.NewEncoder(c).Encode(q); err != nil {
		return Reply{}, fmt.Errorf("cannot ask the run: %w", err)
	}
	var r Reply
	if err := json.NewDecoder(c).Decode(&r); err != nil {
		return Reply{}, fmt.Errorf("cannot read the answer of the run: %w", err)
	}
	if r.Error != "" {
		return Reply{}, errors.New(r.Error)
	}
	return r, nil
}
