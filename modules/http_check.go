package modules

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"runner/runtime/host"
	"runner/runtime/module"
)

// httpCheckArgs are the arguments of http_check.
//
// With address the page is asked for at that server whatever the DNS says, under the name in url: so a new server is tried before its name leads to
// it. In check mode it is asked for too: nothing but a request with GET or HEAD is sent.
//
// # Example
//
//	http_check { url = "https://www.example.org/", address = "192.0.2.1", contains = "Welcome", wait = "1m" }
//	http_check { on = new, url = "http://127.0.0.1/health", status = { 200, 204 } }
//
// # Result
//
//   - status (integer): status of the answer
//   - body (string): its text, the first 64 KiB
//   - headers (table): its header fields, names in small letters
//   - url (string): where the answer came from, after redirects
//   - seconds (number): how long it took
//   - certificate (table): of the server: subject, issuer, names, not_after, days_left
type httpCheckArgs struct {
	// Host from which it is asked for, through its connection. Without it the runner asks.
	On *host.View `lua:"on"`
	// The page: "https://www.example.org/path".
	URL string `lua:"url,required"`
	// Address that is connected to instead of the name in url.
	Address string `lua:"address"`
	// What is asked for: the page, or its header alone.
	Method string `lua:"method" choice:"GET,HEAD" default:"GET"`
	// Status that is right.
	Status []int `lua:"status" default:"200"`
	// Text that must be in the body.
	Contains string `lua:"contains"`
	// Regular expression (Go's RE2) that must match in the body.
	Match string `lua:"match"`
	// Whether redirects are followed, at most ten.
	Follow bool `lua:"follow" default:"true"`
	// Header fields that are sent.
	Headers map[string]string `lua:"headers"`
	// User for a login with HTTP's Basic scheme.
	User string `lua:"user"`
	// The password.
	Password module.Secret `lua:"password"`
	// Whether the certificate must be valid for the name and lead to an authority that this machine trusts.
	Trusted bool `lua:"trusted" default:"true"`
	// Certificates in PEM of authorities that are trusted beside those of this machine.
	CA string `lua:"ca"`
	// How long to wait until the answer is right.
	Wait time.Duration `lua:"wait"`
	// Time between two requests while waiting.
	Interval time.Duration `lua:"interval" default:"1s"`
	// How long one request may take.
	Limit time.Duration `lua:"limit" default:"30s"`
}

// Validate checks what the types of the arguments cannot.
func (a *httpCheckArgs) Validate() error {
	u, err := url.Parse(a.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("url must be such as \"https://www.example.org/\", not %q", a.URL)
	}
	if u.User != nil {
		return errors.New("url must hold no password: give user and password")
	}
	if _, err := regexp.Compile(a.Match); err != nil {
		return fmt.Errorf("match is no regular expression: %w", err)
	}
	if a.CA != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(a.CA)) {
		return errors.New("ca holds no certificate in PEM")
	}
	switch {
	case a.Method == "HEAD" && (a.Contains != "" || a.Match != ""):
		return errors.New(`there is no body with method = "HEAD"`)
	case len(a.Status) == 0:
		return errors.New("status is empty: no answer would be right")
	case a.Interval <= 0 || a.Limit <= 0:
		return errors.New("interval and limit must be more than nothing")
	case a.Address != "":
		if _, err := netip.ParseAddr(strings.Trim(a.Address, "[]")); err != nil {
			return fmt.Errorf("address must be an address, not %q", a.Address)
		}
	case (a.User != "") != !a.Password.IsZero():
		return errors.New("user and password belong together")
	}
	return nil
}

// httpAnswer is what came back.
type httpAnswer struct {
	status      int
	body        string
	headers     map[string]any
	url         string
	took        time.Duration
	certificate *x509.Certificate
}

const mostBody = 64 << 10

func planHTTPCheck(ctx context.Context, a *httpCheckArgs) (*module.Plan, error) {
	answer, why, err := a.try(ctx)
	if err != nil {
		return nil, err
	}
	doing := "confirm " + a.URL
	switch {
	case why == "":
		return &module.Plan{Output: answer.output(), Note: fmt.Sprintf("%d %s, %s in %s", answer.status, http.StatusText(answer.status),
			countOf(len(answer.body), "byte"), answer.took.Round(time.Millisecond))}, nil
	case a.Wait == 0:
		return nil, module.Absent(fmt.Errorf("cannot %s: %s", doing, why))
	}
	return &module.Plan{Changes: []module.Change{{
		Summary: fmt.Sprintf("wait until %s answers as wanted, at most %s", a.URL, module.FormatDuration(a.Wait)), Before: why, Wait: true,
		Apply: a.poll,
	}}}, nil
}

func (a *httpCheckArgs) poll(ctx context.Context, do *module.Apply) error {
	deadline := time.Now().Add(a.Wait)
	for {
		_, why, err := a.try(ctx)
		if err != nil || why == "" {
			return err
		}
		if !time.Now().Before(deadline) {
			return fmt.Errorf("cannot wait longer than %s for %s: %s", module.FormatDuration(a.Wait), a.URL, why)
		}
		do.Progress(module.Progress{Label: fmt.Sprintf("waiting for %s: %s", a.URL, why)})
		if err := sleep(ctx, min(a.Interval, max(time.Until(deadline), 0))); err != nil {
			return err
		}
	}
}

// try asks once. why says why the answer is not the wanted one; err is for a host that is lost and a step that is to stop.
func (a *httpCheckArgs) try(ctx context.Context) (answer *httpAnswer, why string, err error) {
	limited, cancel := context.WithTimeout(ctx, a.Limit)
	defer cancel()
	answer, err = a.ask(limited)
	var lost *host.UnreachableError
	switch {
	case ctx.Err() != nil:
		return nil, "", context.Cause(ctx)
	case errors.As(err, &lost):
		return nil, "", err
	case err != nil && limited.Err() != nil:
		return nil, fmt.Sprintf("no answer within %s", a.Limit), nil
	case err != nil:
		return nil, httpReason(err), nil
	}
	return answer, a.judge(answer), nil
}

func (a *httpCheckArgs) judge(answer *httpAnswer) string {
	switch {
	case !slices.Contains(a.Status, answer.status):
		text := fmt.Sprintf("the status is %d %s", answer.status, http.StatusText(answer.status))
		if to, ok := answer.headers["location"].(string); ok && answer.status/100 == 3 {
			text += ", to " + to
		}
		return text
	case a.Contains != "" && !strings.Contains(answer.body, a.Contains):
		return fmt.Sprintf("%q is not in the body (%s)", a.Contains, countOf(len(answer.body), "byte"))
	case a.Match != "" && !regexp.MustCompile(a.Match).MatchString(answer.body):
		return fmt.Sprintf("nothing in the body (%s) matches %s", countOf(len(answer.body), "byte"), a.Match)
	}
	return ""
}

func (a *httpCheckArgs) ask(ctx context.Context) (*httpAnswer, error) {
	request, err := http.NewRequestWithContext(ctx, a.Method, a.URL, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "runner")
	for name, value := range a.Headers {
		if strings.EqualFold(name, "host") {
			request.Host = value
			continue
		}
		request.Header.Set(name, value)
	}
	if a.User != "" {
		request.SetBasicAuth(a.User, a.Password.Reveal())
	}
	client := a.client()
	defer client.CloseIdleConnections()
	began := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, mostBody))
	if err != nil {
		return nil, fmt.Errorf("the answer broke off: %w", err)
	}
	answer := &httpAnswer{status: response.StatusCode, body: string(body), headers: map[string]any{}, url: response.Request.URL.String(), took: time.Since(began)}
	for name, values := range response.Header {
		answer.headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	if response.TLS != nil && len(response.TLS.PeerCertificates) > 0 {
		answer.certificate = response.TLS.PeerCertificates[0]
	}
	return answer, nil
}

// client connects through the host and to the address that were given; a proxy of this machine's environment has no part in it.
func (a *httpCheckArgs) client() *http.Client {
	dial := new(net.Dialer).DialContext
	if a.On != nil {
		dial = a.On.Dial
	}
	config := &tls.Config{InsecureSkipVerify: !a.Trusted}
	if a.CA != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		pool.AppendCertsFromPEM([]byte(a.CA))
		config.RootCAs = pool
	}
	wanted, _ := url.Parse(a.URL)
	transport := &http.Transport{
		TLSClientConfig: config, ForceAttemptHTTP2: true, DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			name, port, err := net.SplitHostPort(address)
			if err == nil && a.Address != "" && strings.EqualFold(name, wanted.Hostname()) {
				address = net.JoinHostPort(strings.Trim(a.Address, "[]"), port)
			}
			return dial(ctx, network, address)
		},
	}
	client := &http.Client{Transport: transport}
	if !a.Follow {
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return client
}

// httpReason takes the method and the URL off an error, which whoever tells it says in words of his own.
func httpReason(err error) string {
	var whole *url.Error
	if errors.As(err, &whole) {
		err = whole.Err
	}
	var name x509.HostnameError
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &name):
		return "its certificate is not for " + name.Host + " but for " + strings.Join(name.Certificate.DNSNames, ", ")
	case errors.As(err, &unknown):
		return "its certificate leads to no authority that this machine trusts"
	case errors.As(err, &invalid):
		return strings.TrimPrefix(err.Error(), "tls: failed to verify certificate: ")
	case strings.Contains(strings.ToLower(err.Error()), "connection refused"):
		return "connection refused"
	case errors.Is(err, io.EOF):
		return "it closed the connection"
	}
	return err.Error()
}

func (h *httpAnswer) output() map[string]any {
	certificate := map[string]any{}
	if c := h.certificate; c != nil {
		certificate["subject"], certificate["issuer"], certificate["names"] = c.Subject.String(), c.Issuer.String(), nonNil(c.DNSNames)
		certificate["not_after"] = c.NotAfter.UTC().Format(time.RFC3339)
		certificate["days_left"] = int64(time.Until(c.NotAfter).Hours() / 24)
	}
	return map[string]any{"status": int64(h.status), "body": h.body, "headers": h.headers, "url": h.url, "seconds": h.took.Seconds(), "certificate": certificate}
}
