// Package sshtest is an SSH server inside the test's own process. It really runs what it is told, with /bin/sh, connects to
// TCP and Unix addresses and serves files over SFTP, all as the user that runs the test.
package sshtest

import (
	"cmp"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"runner/runtime/transport"
)

// Options say how the server is to behave.
type Options struct {
	MaxSessions   int          // 0: no limit
	Password      string       // non-empty: this password logs in
	NoKey         bool         // the test's key does not log in
	NoStreamlocal bool         // refuse Unix sockets, as OpenSSH before 6.7
	NoSFTP        bool         // no sftp subsystem
	HostKeys      []ssh.Signer // nil: one new ed25519 key
	Config        func(*ssh.ServerConfig)
	Delay         time.Duration // before the handshake
	Listen        string        // empty: "127.0.0.1:0"
	Login         []string      // runs a command, which is added to it; empty: "/bin/sh -c"
}

// Server is a running server, on a port of 127.0.0.1 unless Options.Listen says otherwise.
type Server struct {
	Addr    string
	KeyFile string // private key that logs in
	Known   string // known_hosts file that holds the server's keys

	o        Options
	config   *ssh.ServerConfig
	mu       sync.Mutex
	conns    map[net.Conn]bool
	commands map[int]bool // process groups of those that run
	over     bool         // the test is, and no command may run any more
	Sessions atomic.Int64 // sessions opened so far
}

// Start starts a server that ends with the test.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	dir := t.TempDir()
	s := &Server{o: o, KeyFile: filepath.Join(dir, "id"), Known: filepath.Join(dir, "known_hosts"), conns: map[net.Conn]bool{}, commands: map[int]bool{}}
	public := writeKey(t, s.KeyFile)
	if len(o.HostKeys) == 0 {
		s.o.HostKeys = []ssh.Signer{NewSigner(t)}
	}
	s.config = &ssh.ServerConfig{ServerVersion: "SSH-2.0-OpenSSH_9.2p1 test"}
	if !o.NoKey {
		s.config.PublicKeyCallback = func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if string(key.Marshal()) == string(public.Marshal()) {
				return nil, nil
			}
			return nil, errors.New("unknown key")
		}
	}
	if o.Password != "" {
		s.config.PasswordCallback = func(_ ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			if string(password) == o.Password {
				return nil, nil
			}
			return nil, errors.New("wrong password")
		}
	}
	for _, k := range s.o.HostKeys {
		s.config.AddHostKey(k)
	}
	if o.Config != nil {
		o.Config(s.config)
	}
	l, err := net.Listen("tcp", cmp.Or(o.Listen, "127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = l.Addr().String()
	s.writeKnown(t)
	go s.accept(l)
	t.Cleanup(func() { l.Close(); s.Cut(); s.endCommands() })
	return s
}

// Spec is how to reach the server with its key and the known host key.
func (s *Server) Spec() transport.Spec {
	host, port, _ := net.SplitHostPort(s.Addr)
	n, _ := strconv.Atoi(port)
	return transport.Spec{Address: host, Port: n, User: "test", Keys: []string{s.KeyFile}, KnownHosts: []string{s.Known}, Config: []string{}}
}

// Conns is the number of connections that are open.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Cut breaks all connections, as a pulled cable does.
func (s *Server) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

// NewSigner makes an ed25519 host key.
func NewSigner(t testing.TB) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func writeKey(t testing.TB, file string) ssh.PublicKey {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer.PublicKey()
}

func (s *Server) writeKnown(t testing.TB) {
	t.Helper()
	f, err := os.Create(s.Known)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, k := range s.o.HostKeys {
		if _, err := io.WriteString(f, knownhosts.Line([]string{s.Addr}, k.PublicKey())+"\n"); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *Server) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[c] = true
		s.mu.Unlock()
		go s.serve(c)
	}
}

func (s *Server) serve(raw net.Conn) {
	defer func() {
		raw.Close()
		s.mu.Lock()
		delete(s.conns, raw)
		s.mu.Unlock()
	}()
	time.Sleep(s.o.Delay)
	_, channels, requests, err := ssh.NewServerConn(raw, s.config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	var open atomic.Int64
	for c := range channels {
		switch c.ChannelType() {
		case "session":
			if n := open.Add(1); s.o.MaxSessions > 0 && n > int64(s.o.MaxSessions) {
				open.Add(-1)
				_ = c.Reject(ssh.ConnectionFailed, "open failed")
				continue
			}
			s.Sessions.Add(1)
			go func() {
				defer open.Add(-1)
				s.session(c)
			}()
		case "direct-tcpip":
			go s.forwardTCP(c)
		case "direct-streamlocal@openssh.com":
			go s.forwardUnix(c)
		default:
			_ = c.Reject(ssh.UnknownChannelType, "unknown channel type")
		}
	}
}

func (s *Server) forwardTCP(c ssh.NewChannel) {
	var to struct {
		Host   string
		Port   uint32
		Origin string
		From   uint32
	}
	if err := ssh.Unmarshal(c.ExtraData(), &to); err != nil {
		_ = c.Reject(ssh.ConnectionFailed, "bad request")
		return
	}
	s.forward(c, "tcp", net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
}

func (s *Server) forwardUnix(c ssh.NewChannel) {
	var to struct {
		Path     string
		Reserved string
		Number   uint32
	}
	if err := ssh.Unmarshal(c.ExtraData(), &to); err != nil || s.o.NoStreamlocal {
		_ = c.Reject(ssh.Prohibited, "open failed")
		return
	}
	s.forward(c, "unix", to.Path)
}

func (s *Server) forward(c ssh.NewChannel, network, address string) {
	conn, err := net.Dial(network, address)
	if err != nil {
		_ = c.Reject(ssh.ConnectionFailed, err.Error())
		return
	}
	defer conn.Close()
	ch, requests, err := c.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	go ssh.DiscardRequests(requests)
	go func() {
		_, _ = io.Copy(conn, ch)
		if w, ok := conn.(interface{ CloseWrite() error }); ok {
			_ = w.CloseWrite()
		}
	}()
	_, _ = io.Copy(ch, conn)
}

func serveSFTP(ch ssh.Channel) {
	server, err := sftp.NewServer(ch)
	if err != nil {
		return
	}
	_ = server.Serve()
	server.Close()
}
