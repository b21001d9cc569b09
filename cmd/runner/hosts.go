package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"runner/runtime/host"
	"runner/runtime/module"
	"runner/runtime/recipe"
	"runner/runtime/run"
	"runner/runtime/transport"
)

// siteHosts are the hosts of a site, each connected when it is first needed.
type siteHosts struct {
	site   *recipe.Site
	j      *job
	dialer *transport.Dialer

	mu   sync.Mutex
	open map[module.HostName]*siteHost
	// peers are who answered at the hosts that were connected to.
	peers map[module.HostName]transport.Peer
}

type siteHost struct {
	login *host.Host
	sudo  bool // what the site says
}

func newSiteHosts(site *recipe.Site, j *job) *siteHosts {
	s := &siteHosts{site: site, j: j, open: map[module.HostName]*siteHost{}, peers: map[module.HostName]transport.Peer{}}
	s.dialer = transport.NewDialer(transport.Options{Prompter: s.prompter()})
	return s
}

func (s *siteHosts) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.open {
		_ = h.login.Close() // the run is over; there is nothing to be done about a connection that ends badly
	}
}

// Open gives a host with the privileges that are asked for; nil: as the site says.
func (s *siteHosts) Open(ctx context.Context, name module.HostName, sudo *bool) (*host.Host, error) {
	h, err := s.get(ctx, name)
	if err != nil {
		return nil, err
	}
	if sudo == nil && h.sudo || sudo != nil && *sudo {
		return h.login.Sudo(ctx)
	}
	return h.login, nil
}

// peer is who answered at a host; false: it was not connected to.
func (s *siteHosts) peer(name module.HostName) (transport.Peer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.peers[name]
	return p, ok
}

func (s *siteHosts) get(ctx context.Context, name module.HostName) (*siteHost, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.open[name]; h != nil {
		return h, nil
	}
	entry, ok := s.site.Hosts[string(name)]
	if !ok {
		return nil, fmt.Errorf("cannot find the host %s: the site does not name it", name)
	}
	spec, err := s.spec(ctx, entry)
	if err != nil {
		return nil, err
	}
	o := host.Options{
		Local: spec.Local,
		Dial: func(ctx context.Context) (transport.Conn, error) {
			conn, err := s.dialer.Dial(ctx, spec)
			if err == nil {
				s.mu.Lock()
				s.peers[name] = conn.Peer()
				s.mu.Unlock()
			}
			return conn, err
		},
	}
	o.Become, _ = entry.Fields["become"].(string)
	field, question := "sudo_password", fmt.Sprintf("Password for sudo on %s: ", name)
	switch o.Become {
	case "doas":
		question = fmt.Sprintf("Password for doas on %s: ", name)
	case "su":
		field, question = "su_password", fmt.Sprintf("Password of root on %s: ", name)
	}
	if password := s.secret(ctx, entry, field); password != nil {
		o.SudoPassword = password
	} else if s.attended() {
		o.SudoPassword = func() (string, error) { return s.ask(ctx, question) }
	}
	h := &siteHost{login: host.Open(string(name), o)}
	h.sudo, _ = entry.Fields["sudo"].(bool)
	s.open[name] = h
	return h, nil
}

// spec is how to reach a host of the site. What the site does not say comes from ssh_config, in package transport.
func (s *siteHosts) spec(ctx context.Context, entry recipe.SiteHost) (transport.Spec, error) {
	spec, err := transport.Parse(entry.Address)
	if err != nil {
		return spec, &run.Failure{Err: err, Code: run.ExitRecipe, At: &entry.At}
	}
	text := func(field string, into *string) {
		if v, ok := entry.Fields[field].(string); ok {
			*into = v
		}
	}
	list := func(field string, into *[]string) {
		if v, ok := entry.Fields[field].([]string); ok {
			*into = v
		}
	}
	text("user", &spec.User)
	text("fingerprint", &spec.Fingerprint)
	text("alias", &spec.Alias)
	list("key", &spec.Keys)
	list("jump", &spec.Jump)
	list("known_hosts", &spec.KnownHosts)
	list("config", &spec.Config)
	list("algorithms", &spec.Algorithms)
	if port, ok := entry.Fields["port"].(float64); ok {
		if port < 1 || port > 65535 || port != float64(int(port)) {
			return spec, &run.Failure{Err: fmt.Errorf("cannot use port %v for host %s: it must be a whole number from 1 to 65535", port, entry.Name), Code: run.ExitRecipe, At: &entry.At}
		}
		spec.Port = int(port)
	}
	switch t := entry.Fields["timeout"].(type) {
	case float64:
		spec.ConnectTimeout = time.Duration(t * float64(time.Second))
	case string:
		if spec.ConnectTimeout, err = module.ParseDuration(t); err != nil {
			return spec, &run.Failure{Err: fmt.Errorf("cannot use the timeout of host %s: %w", entry.Name, err), Code: run.ExitRecipe, At: &entry.At}
		}
	}
	spec.Password = s.secret(ctx, entry, "password")
	if phrase := s.secret(ctx, entry, "passphrase"); phrase != nil {
		spec.Passphrase = func(string) (string, error) { return phrase() }
	}
	return spec, nil
}

// secret reads a secret of the site when it is needed, and sees to it that nobody shows it.
func (s *siteHosts) secret(ctx context.Context, entry recipe.SiteHost, field string) func() (string, error) {
	value, ok := entry.Fields[field]
	if !ok {
		return nil
	}
	return func() (string, error) {
		secret, isValue := value.(module.Secret)
		if source, ok := value.(recipe.SecretSource); ok && !isValue {
			var err error
			if secret, err = s.j.secrets().Read(ctx, source); err != nil {
				return "", fmt.Errorf("cannot read %s of host %s: %w", field, entry.Name, err)
			}
		}
		s.j.mask.Add(secret.Reveal())
		return secret.Reveal(), nil
	}
}

func (s *siteHosts) ask(ctx context.Context, prompt string) (string, error) {
	answer, err := s.j.console.Secret(ctx, prompt)
	s.j.mask.Add(answer)
	return answer, err
}

// attended says whether somebody is there to answer.
func (s *siteHosts) attended() bool { return s.j.console != nil && s.j.console.Present() }

// prompter asks the operator on behalf of a connection; nil where nobody is there.
func (s *siteHosts) prompter() transport.Prompter {
	if !s.attended() {
		return nil
	}
	return prompter{s}
}

type prompter struct{ s *siteHosts }

func (p prompter) Confirm(ctx context.Context, question string) (bool, error) {
	answer, err := p.s.j.console.Line(ctx, question+" [yes/no] ")
	return answer == "yes" || answer == "y", err
}

func (p prompter) Secret(ctx context.Context, prompt string) (string, error) {
	return p.s.ask(ctx, prompt)
}
