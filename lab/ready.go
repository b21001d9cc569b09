package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"

	"runner/lab/internal/container"
)

// bootLimit is how long a host may take until it serves. It takes some seconds; more where the machine is busy.
const bootLimit = 90 * time.Second

func (l *Lab) allReady(ctx context.Context) error { return l.ready(ctx, l.Hosts...) }

// ready waits until the hosts serve. All services of a host are asked, each until it answers: those that need the database
// answer before the database does.
func (l *Lab) ready(ctx context.Context, hosts ...*Host) error {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	var group errgroup.Group // not with its context: the first that is late would hide the others
	for _, h := range hosts {
		group.Go(func() error {
			for _, p := range l.probes(h) {
				if err := p.wait(ctx, h); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// probe is one service of a host, and where its log is.
type probe struct {
	name string
	ask  func(ctx context.Context) error
	logs []string
}

func (l *Lab) probes(h *Host) []probe {
	if h.isDNS() {
		return []probe{{"DNS", func(ctx context.Context) error { return l.answers(ctx) }, nil}}
	}
	greets := func(port int, greeting string) func(context.Context) error {
		return func(ctx context.Context) error {
			return banner(ctx, net.JoinHostPort(h.Address, strconv.Itoa(port)), greeting)
		}
	}
	common := []probe{
		{"the database", func(ctx context.Context) error { return h.pingDatabase(ctx) }, []string{"/var/log/mysql/error.log", "/var/log/syslog"}},
		{"SSH", greets(h.SSHPort, "SSH-"), []string{"/var/log/auth.log"}},
	}
	if h.WebRoot != "" {
		return append(common, probe{"HTTP", func(ctx context.Context) error { return answersHTTP(ctx, h.Address) }, []string{"/var/log/apache2/error.log"}})
	}
	mail := []string{"/var/log/mail.log", "/var/log/syslog"}
	return append(common, []probe{
		{"SMTP", greets(25, "220 "), mail},
		{"submission", greets(587, "220 "), mail},
		{"IMAP", greets(143, "* OK"), mail},
	}...)
}

func (p probe) wait(ctx context.Context, h *Host) error {
	for {
		err := p.ask(ctx)
		if err == nil {
			return nil
		}
		if h.PID() == 0 {
			return fmt.Errorf("cannot bring up %s: it ended while booting%s", h.Name, h.tails("", nil))
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("cannot bring up %s: %s did not answer within %s: %w%s", h.Name, p.name, bootLimit, err, h.tails(h.Root(), p.logs))
			}
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// tails are the last lines of what the host has to say about itself.
func (h *Host) tails(root string, logs []string) string {
	var b strings.Builder
	add := func(name, file string) {
		if tail := container.Tail(file, 8); tail != "" {
			fmt.Fprintf(&b, "\n%s:\n  %s", name, strings.ReplaceAll(tail, "\n", "\n  "))
		}
	}
	for _, name := range logs {
		add(name, filepath.Join(root, name))
	}
	add("console", h.console())
	return b.String()
}

// banner reads the first line of a server.
func banner(ctx context.Context, address, want string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if end, ok := ctx.Deadline(); ok {
		conn.SetDeadline(end)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return fmt.Errorf("no greeting from %s: %w", address, err)
	}
	if !strings.HasPrefix(line, want) {
		return fmt.Errorf("%s greets with %q", address, strings.TrimSpace(line))
	}
	return nil
}

// answersHTTP asks a web server for its first page; whatever it answers will do.
func answersHTTP(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, "http://"+address+"/", nil)
	if err != nil {
		return err
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// pingDatabase asks MariaDB over its socket; it also answers when it refuses the login.
func (h *Host) pingDatabase(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := h.Exec(ctx, "mysqladmin", "ping")
	return err
}

// answers asks each address of the DNS server for a zone of the lab.
func (l *Lab) answers(ctx context.Context) error {
	for _, address := range l.DNS {
		m := new(dns.Msg)
		m.SetQuestion(fqdn(infraZone), dns.TypeSOA)
		c := &dns.Client{Timeout: time.Second}
		r, _, err := c.ExchangeContext(ctx, m, net.JoinHostPort(address, "53"))
		if err != nil {
			return err
		}
		if r.Rcode != dns.RcodeSuccess || len(r.Answer) == 0 || !r.Authoritative {
			return fmt.Errorf("%s answers %s", address, dns.RcodeToString[r.Rcode])
		}
	}
	return nil
}

// Health is what [Status] finds out about a host.
type Health struct {
	Host    *Host
	PID     int               // 0: off
	Serving map[string]string // service -> empty, or why it does not answer
}

// Status asks every service of every host once.
func Status(ctx context.Context, o Options) (*Lab, []Health, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, nil, err
	}
	l, err := Load(o.Dir)
	if err != nil {
		if os.IsPermission(errors.Unwrap(err)) {
			err = mustBeRoot("look at the lab")
		}
		return nil, nil, err
	}
	out := make([]Health, len(l.Hosts))
	var group errgroup.Group
	for i, h := range l.Hosts {
		out[i] = Health{Host: h, PID: h.PID(), Serving: map[string]string{}}
		if out[i].PID == 0 {
			continue
		}
		group.Go(func() error {
			for _, p := range l.probes(h) {
				out[i].Serving[p.name] = ""
				if err := p.ask(ctx); err != nil {
					out[i].Serving[p.name] = err.Error()
				}
			}
			return nil
		})
	}
	return l, out, group.Wait()
}
