package recipe

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"runner/runtime/host"
	"runner/runtime/module"
)

// fleetOf loads a recipe with a group of n hosts and one task.
func fleetOf(t *testing.T, n, forks int, body string) *Recipe {
	t.Helper()
	return mustLoad(t, head+"task('each', function()\n"+body+"\nend)\n", func(o *Options) {
		o.Forks = forks
		o.Resolve = func(Declaration) (Inputs, error) {
			in := testInputs()
			in.Groups["web"] = nil
			for i := range n {
				in.Groups["web"] = append(in.Groups["web"], module.HostName(fmt.Sprintf("web%03d", i)))
			}
			return in, nil
		}
	})
}

// leaks fails the test when it leaves goroutines behind.
func leaks(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for range 100 {
			if runtime.NumGoroutine() <= before {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		buf := make([]byte, 1<<20)
		t.Errorf("%d goroutines before and %d after:\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
	})
}

func TestEachRunsManyHostsAtOnce(t *testing.T) {
	leaks(t)
	const hosts, forks = 200, 50
	r := fleetOf(t, hosts, forks, `
  local names = {}
  local list = each(groups.web, function(host)
    local mine = host.name
    for i = 1, 5 do
      local ok, r = pcall(command, { on = host, argv = { "step", tostring(i) } })
      assert(ok and r.host == mine and mine == host.name, "mixed up")
      names[#names + 1] = host.name
    end
    local ok, err = pcall(function() error("caught " .. mine, 0) end)
    assert(err == "caught " .. mine)
    return mine
  end)
  say(#list, list[1], list[200], #names)`)
	var now, most atomic.Int64
	e := &recorder{step: func(_ context.Context, s Step) (map[string]any, error) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		time.Sleep(time.Millisecond)
		return map[string]any{"host": string(s.Values["on"].(module.HostName))}, nil
	}}
	if err := runAll(t, r, e); err != nil {
		t.Fatal(err)
	}
	if want := []string{"200\tweb000\tweb199\t1000"}; !slices.Equal(e.said, want) {
		t.Errorf("said %q, want %q", e.said, want)
	}
	if n := most.Load(); n > forks || n < 2 {
		t.Errorf("%d hosts at a time, with %d forks", n, forks)
	}
}

func TestEachGoesOnWhenOneHostFails(t *testing.T) {
	leaks(t)
	r := fleetOf(t, 20, 4, `
  each(groups.web, function(host)
    command { on = host, argv = { "x" } }
    saved[host.name] = true
  end)`)
	e := &recorder{step: func(_ context.Context, s Step) (map[string]any, error) {
		if name := string(s.Values["on"].(module.HostName)); strings.HasSuffix(name, "7") {
			return nil, &host.UnreachableError{Host: name, Err: errors.New("no route to host")}
		}
		return nil, nil
	}}
	err := runAll(t, r, e)
	var failed *EachError
	if !errors.As(err, &failed) || len(failed.Failures) != 2 || failed.Hosts != 20 || failed.Left != 0 {
		t.Fatalf("error %v", err)
	}
	want := "move.lua:6:5: cannot finish 2 of 20 hosts: web007: cannot reach web007: no route to host; web017: cannot reach web017: no route to host"
	if err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	var unreachable *host.UnreachableError
	if !errors.As(err, &unreachable) || unreachable.Host != "web007" {
		t.Errorf("%v has lost its cause", err)
	}
	if len(r.Saved()) != 18 {
		t.Errorf("%d hosts were finished", len(r.Saved()))
	}
}

func TestEachStopsAfterMaxFailures(t *testing.T) {
	r := fleetOf(t, 50, 1, `each(groups.web, { forks = 1, max_failures = 2 }, function(host) fail("no") end)`)
	err := runAll(t, r, &recorder{})
	want := "move.lua:4:1: cannot finish 3 of 50 hosts (47 not begun, since more failed than max_failures = 2): web000, web001, web002: no"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestEachInEach(t *testing.T) {
	leaks(t)
	r := fleetOf(t, 6, 2, `
  local n = 0
  each(groups.web, function(a)
    each(groups.web, function(b)
      command { on = b, argv = { a.name } }
      n = n + 1
    end)
  end)
  say(n, #each({}, function() end))`)
	e := &recorder{}
	if err := runAll(t, r, e); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(e.said, []string{"36\t0"}) || len(e.steps) != 36 {
		t.Errorf("said %q after %d steps", e.said, len(e.steps))
	}
}

func TestEachIsCancelled(t *testing.T) {
	leaks(t)
	r := fleetOf(t, 100, 10, `
  pcall(each, groups.web, function(host)
    pcall(command, { on = host, argv = { "sleep" } })
    while true do end
  end)
  while true do pcall(command, { on = hosts.old }) end`)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("stopped by the operator")
	var once sync.Once
	e := &recorder{step: func(ctx context.Context, _ Step) (map[string]any, error) {
		once.Do(func() { time.AfterFunc(20*time.Millisecond, func() { cancel(cause) }) })
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}}
	done := make(chan error)
	go func() {
		_, err := r.RunTask(ctx, e, r.Phases()[0].Tasks[0])
		done <- err
	}()
	select {
	case err := <-done:
		if !errors.Is(err, cause) {
			t.Errorf("error %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the task goes on after it was cancelled")
	}
}

func TestPanicOfTheEngineIsAnError(t *testing.T) {
	leaks(t)
	for _, body := range []string{`command { on = hosts.old }`, `each(groups.web, function(h) pcall(command, { on = h }) end)`, `pcall(say, "x")`} {
		r := fleetOf(t, 3, 2, body+` say("after")`)
		err := runAll(t, r, &panicking{})
		var p *PanicError
		if !errors.As(err, &p) || p.Value != "boom" || !strings.Contains(p.Stack, "panicking") {
			t.Errorf("%s: error %v", body, err)
		}
	}
}

type panicking struct{ recorder }

func (*panicking) Step(context.Context, Step) (map[string]any, error) { panic("boom") }
func (*panicking) Say(context.Context, string)                        { panic("boom") }
