package run

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"runner/runtime/module"
)

// JUnit is the XML that continuous integration reads. There is no standard; these are the elements that Jenkins and GitLab document.
// Texts go through [XMLText].
type JUnit struct {
	XMLName xml.Name     `xml:"testsuites"`
	Name    string       `xml:"name,attr"`
	Suites  []JUnitSuite `xml:"testsuite"`
}

// JUnitSuite is a group of cases.
type JUnitSuite struct {
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Skipped   int         `xml:"skipped,attr"`
	Time      string      `xml:"time,attr"` // seconds
	Timestamp string      `xml:"timestamp,attr,omitempty"`
	Cases     []JUnitCase `xml:"testcase"`
}

// JUnitCase is a test. One with neither message passed.
type JUnitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *JUnitMessage `xml:"failure"`
	Skipped *JUnitMessage `xml:"skipped"`
}

// JUnitMessage says why a case failed or was skipped.
type JUnitMessage struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit tells a run in the XML that continuous integration reads: a suite for each phase, a case for each task, and of three hosts and more
// a suite with a case for each host. A task that
// did not run, or did not end, is skipped.
func WriteJUnit(w io.Writer, r *Record) error {
	all := JUnit{Name: orElse(r.Recipe, r.Start.File)}
	var took float64
	for _, name := range r.names() {
		if n := len(all.Suites); n == 0 || all.Suites[n-1].Name != XMLText(name.Phase) {
			all.Suites, took = append(all.Suites, JUnitSuite{Name: XMLText(name.Phase)}), 0
		}
		s := &all.Suites[len(all.Suites)-1]
		c := JUnitCase{Class: XMLText(name.Phase), Name: XMLText(name.Task), Time: "0.000"}
		t := r.find(name)
		if t != nil {
			if s.Timestamp == "" && !t.Began.IsZero() {
				s.Timestamp = t.Began.UTC().Format(time.RFC3339)
			}
			took += t.Took
			c.Time = fmt.Sprintf("%.3f", t.Took)
		}
		switch {
		case t == nil:
			c.Skipped = &JUnitMessage{Message: "it did not run"}
		case t.Status == module.Failed || t.Status == module.Unreachable:
			c.Failure = &JUnitMessage{Message: XMLText(t.Error), Text: XMLText(t.Error)}
		case t.Undone:
			c.Skipped = &JUnitMessage{Message: "it was undone"}
		case !t.Done:
			c.Skipped = &JUnitMessage{Message: "it is not done: " + orElse(string(t.Status), "broken off")}
		}
		s.Tests++
		if c.Failure != nil {
			s.Failures++
		}
		if c.Skipped != nil {
			s.Skipped++
		}
		s.Time = fmt.Sprintf("%.3f", took)
		s.Cases = append(s.Cases, c)
	}
	if suite := hostSuite(r.Hosts()); suite.Tests >= fewHosts {
		all.Suites = append(all.Suites, suite)
	}
	return all.Write(w)
}

// hostSuite has a case for each host.
func hostSuite(hosts []HostResult) JUnitSuite {
	s := JUnitSuite{Name: "hosts", Tests: len(hosts)}
	var took float64
	for _, h := range hosts {
		c := JUnitCase{Class: "hosts", Name: XMLText(h.Host), Time: fmt.Sprintf("%.3f", h.Took)}
		took += h.Took
		switch {
		case h.Failed():
			c.Failure = &JUnitMessage{Message: XMLText(h.Error), Text: XMLText(h.Error)}
			s.Failures++
		case h.Left:
			c.Skipped = &JUnitMessage{Message: "it was not begun"}
			s.Skipped++
		}
		s.Cases = append(s.Cases, c)
	}
	s.Time = fmt.Sprintf("%.3f", took)
	return s
}

// Write writes the XML.
func (j JUnit) Write(w io.Writer) error {
	data, err := xml.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, data)
	return err
}

// XMLText leaves out the control characters that XML 1.0 cannot hold in any form.
func XMLText(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' && c != '\n' && c != '\t' {
			return -1
		}
		return c
	}, s)
}
