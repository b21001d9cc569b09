package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"runner/runtime/run"
)

// watchSignals asks the run to stop at the first signal, to stop at once at the second, and ends the process at the third: the way out
// when a server does not let go. SIGHUP (the operator's own connection went away) counts like Ctrl-C.
func watchSignals(stop *run.Stopper) (end func()) {
	signals := make(chan os.Signal, 3)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// An output that is gone ("| head") must not kill the run in the middle of a change; see os/signal on SIGPIPE.
	signal.Ignore(syscall.SIGPIPE)
	done := make(chan struct{})
	go func() {
		for n := 1; ; n++ {
			select {
			case s := <-signals:
				if n > 2 {
					os.Exit(run.ExitStopped)
				}
				stop.Stop(fmt.Errorf("%w (%s)", run.ErrStopped, signalName(s)))
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		close(done)
	}
}

func signalName(s os.Signal) string {
	switch s {
	case os.Interrupt:
		return "Ctrl-C"
	case syscall.SIGTERM:
		return "SIGTERM"
	case syscall.SIGHUP:
		return "the terminal went away"
	}
	return s.String()
}
