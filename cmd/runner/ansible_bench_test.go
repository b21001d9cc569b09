package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"runner/runtime/transport"
	"runner/runtime/transport/sshtest"
)

// contest is one work that runner and Ansible do in turn, each as a program of its own from its start to its end, on hosts of a real
// OpenSSH server on this machine.
type contest struct {
	b      *testing.B
	runner string // program
	dir    string
	hosts  int
	forks  int
	args   []string // more for runner
}

// timing is the shortest time of some.
type timing time.Duration

func (t *timing) add(d time.Duration) {
	if *t == 0 || timing(d) < *t {
		*t = timing(d)
	}
}

func (t timing) seconds() float64 { return time.Duration(t).Seconds() }

// benchRounds is how often each work is done by each; the shortest times count.
func benchRounds() int {
	if n, err := strconv.Atoi(os.Getenv("RUNNER_BENCH_ROUNDS")); err == nil && n > 0 {
		return n
	}
	return 2
}

// BenchmarkAnsible does the same work with runner and with Ansible (pipelining, and Mitogen), and prints the table that
// docs/performance.md keeps.
func BenchmarkAnsible(b *testing.B) {
	if _, err := exec.LookPath("ansible-playbook"); err != nil {
		b.Skip("SKIPPED: needs ansible-playbook; make bench installs it")
	}
	program := buildRunner(b)
	fmt.Printf("\n| work | runner | Ansible | ratio | Mitogen | ratio | target | |\n|---|---|---|---|---|---|---|---|\n")
	for _, part := range []struct {
		name, work, target string
		bashrc             string
		delay              time.Duration
	}{
		{"steps", "100 steps with nothing to do, one host", "0.01, 2 ms a step", "", 0},
		{"bashrc", "the same, root's .bashrc takes 150 ms", "as above", "sleep 0.15\n", 0},
		{"far", "the same, 20 ms there and back", "24 ms a step", "", 10 * time.Millisecond},
	} {
		b.Run(part.name, func(b *testing.B) {
			c := newContest(b, program, 1, 1, part.bashrc, part.delay)
			c.steps(part.work, part.target)
		})
	}
	b.Run("fleet", func(b *testing.B) {
		c := newContest(b, program, 200, 20, "", 0)
		c.fleet("one step on 200 hosts, 20 forks", "0.05")
	})
}

func buildRunner(b *testing.B) string {
	program := filepath.Join(b.TempDir(), "runner")
	if out, err := exec.Command("go", "build", "-trimpath", "-o", program, "runner/cmd/runner").CombinedOutput(); err != nil {
		b.Fatalf("cannot build runner: %v\n%s", err, out)
	}
	return program
}

// newContest starts the server and writes what both programs need: the same ssh_config, in which each host has a name of its own, so
// that neither takes two of them for one.
func newContest(b *testing.B, program string, hosts, forks int, bashrc string, delay time.Duration) *contest {
	c := &contest{b: b, runner: program, dir: b.TempDir(), hosts: hosts, forks: forks}
	home := filepath.Join(c.dir, "home")
	if err := os.Mkdir(home, 0o700); err != nil {
		b.Fatal(err)
	}
	c.write("home/.bashrc", bashrc)
	spec := sshtest.OpenSSH(b, fmt.Sprintf("MaxStartups 1000\nMaxSessions 10\nSetEnv HOME=%s", home))
	if delay > 0 {
		spec = sshtest.Far(b, spec, delay, 0)
	}
	c.write("ssh_config", sshConfig(spec))
	c.write("lines", numbered("line %d\n", 100))
	var site, inventory strings.Builder
	fmt.Fprintf(&site, "return { defaults = { config = %q }, groups = { all = {\n", c.path("ssh_config"))
	for i := range hosts {
		fmt.Fprintf(&site, "  \"h%03d\",\n", i)
		fmt.Fprintf(&inventory, "h%03d\n", i)
	}
	site.WriteString("} } }\n")
	c.write("site.lua", site.String())
	c.write("inventory", inventory.String())
	c.write("ansible.cfg", fmt.Sprintf(`[defaults]
inventory = %s
forks = %d
interpreter_python = /usr/bin/python3
host_key_checking = True
localhost_warning = False
[ssh_connection]
pipelining = True
ssh_args = -F %s -o ControlMaster=auto -o ControlPersist=60s
control_path_dir = %s
`, c.path("inventory"), forks, c.path("ssh_config"), c.path("cp")))
	b.Cleanup(c.endMasters)
	return c
}

func sshConfig(spec transport.Spec) string {
	return fmt.Sprintf("Host h*\n  HostName %s\n  Port %d\n  User %s\n  IdentityFile %s\n  IdentitiesOnly yes\n  UserKnownHostsFile %s\n",
		spec.Address, spec.Port, spec.User, spec.Keys[0], spec.KnownHosts[0])
}

func numbered(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i+1)
	}
	return b.String()
}

func (c *contest) path(name string) string { return filepath.Join(c.dir, name) }

func (c *contest) write(name, text string) {
	c.b.Helper()
	if err := os.WriteFile(c.path(name), []byte(text), 0o600); err != nil {
		c.b.Fatal(err)
	}
}

// endMasters ends the connections that Ansible's ssh keeps for later calls: each measured call makes its own, as runner does.
func (c *contest) endMasters() {
	sockets, _ := filepath.Glob(c.path("cp/*"))
	for _, s := range sockets {
		_ = exec.Command("ssh", "-o", "ControlPath="+s, "-O", "exit", "h").Run()
	}
}

// steps are 100 steps that find their line in a file.
func (c *contest) steps(work, target string) {
	c.write("one.lua", fmt.Sprintf(stepsRecipe, 1, c.path("lines")))
	c.write("steps.lua", fmt.Sprintf(stepsRecipe, 100, c.path("lines")))
	c.write("steps.yml", "- hosts: all\n  gather_facts: false\n  tasks:\n"+
		numbered("    - lineinfile: { path: "+c.path("lines")+", line: 'line %d' }\n", 100))
	var one, ours, plain, mitogen timing
	for range benchRounds() {
		one.add(c.ours("one.lua"))
		ours.add(c.ours("steps.lua"))
		plain.add(c.theirs("steps.yml", false))
		mitogen.add(c.theirs("steps.yml", true))
	}
	step := (ours.seconds() - one.seconds()) * 1000 / 99
	c.print(work, target, ours, plain, mitogen, fmt.Sprintf("%.1f ms a step beside %.2f s to begin", step, one.seconds()))
}

const stepsRecipe = `recipe { name = "Lines", groups = { all = "one host" } }
task("Lines", function()
  for i = 1, %d do file { on = groups.all[1], path = %q, line = "line " .. i } end
end)
`

const fleetRecipe = `recipe { name = "Fleet", groups = { all = "many hosts" } }
task("Line", function()
  each(groups.all, function(host) file { on = host, path = %q, line = "line 7" } end)
end)
`

// fleet is one step that finds its line, on many hosts.
func (c *contest) fleet(work, target string) {
	c.write("fleet.lua", fmt.Sprintf(fleetRecipe, c.path("lines")))
	c.write("fleet.yml", "- hosts: all\n  gather_facts: false\n  tasks:\n    - lineinfile: { path: "+c.path("lines")+", line: 'line 7' }\n")
	var ours, plain, mitogen, login timing // Mitogen 0.3.3 does not end with 200 hosts
	for range benchRounds() {
		ours.add(c.ours("fleet.lua"))
		plain.add(c.theirs("fleet.yml", false))
		login.add(c.login())
	}
	c.print(work, target, ours, plain, mitogen, fmt.Sprintf("%.1f ms a host; ssh HOST true on each, as many at once: %.2f s", ours.seconds()*1000/float64(c.hosts), login.seconds()))
}

// login is how long ssh alone takes to log in to every host and run nothing there: all of it is the work of ssh and sshd.
func (c *contest) login() time.Duration {
	c.b.Helper()
	script := `seq -f 'h%03g' 0 "$1" | xargs -P "$2" -I HOST ssh -F "$3" -o BatchMode=yes HOST true`
	began := time.Now()
	if out, err := exec.Command("sh", "-c", script, "sh", strconv.Itoa(c.hosts-1), strconv.Itoa(c.forks), c.path("ssh_config")).CombinedOutput(); err != nil {
		c.b.Fatalf("ssh: %v\n%s", err, out)
	}
	return time.Since(began)
}

func (c *contest) print(work, target string, ours, plain, mitogen timing, note string) {
	beside := "- | -"
	if mitogen != 0 {
		beside = fmt.Sprintf("%.1f s | %.3f", mitogen.seconds(), ours.seconds()/mitogen.seconds())
	}
	fmt.Printf("| %s | %.2f s | %.1f s | %.4f | %s | %s | %s; load %s |\n", work, ours.seconds(), plain.seconds(), ours.seconds()/plain.seconds(),
		beside, target, note, load())
}

// load is the load of the machine over the last minute.
func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

// ours runs a recipe as a new run.
func (c *contest) ours(recipe string) time.Duration {
	took, _ := c.run(recipe)
	return took
}

// run is ours, and the most memory that the process had resident, in KiB.
func (c *contest) run(recipe string) (time.Duration, int64) {
	c.b.Helper()
	state, err := os.MkdirTemp(c.dir, "state")
	if err != nil {
		c.b.Fatal(err)
	}
	args := append([]string{c.path(recipe), "--site", c.path("site.lua"), "--state", state, "--forks", strconv.Itoa(c.forks), "--quiet"}, c.args...)
	cmd := exec.Command(c.runner, args...)
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(began)
	if err != nil || strings.Contains(string(out), "changed 1") {
		c.b.Fatalf("runner %s: %v\n%s", recipe, err, out)
	}
	return took, int64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
}

// theirs plays a playbook.
func (c *contest) theirs(playbook string, mitogen bool) time.Duration {
	c.b.Helper()
	c.endMasters()
	cmd := exec.Command("ansible-playbook", c.path(playbook))
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "ANSIBLE_CONFIG="+c.path("ansible.cfg"), "HOME="+c.path("home"), "LC_ALL=C.UTF-8", "ANSIBLE_NOCOLOR=1")
	if mitogen {
		cmd.Env = append(cmd.Env, "ANSIBLE_STRATEGY=mitogen_linear")
	}
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(began)
	if err != nil || strings.Count(string(out), "changed=0") != c.hosts || !strings.Contains(string(out), "unreachable=0") {
		c.b.Fatalf("ansible-playbook %s: %v\n%s", playbook, err, out)
	}
	return took
}

// BenchmarkMemory is how much memory runner needs for each host that it is connected to: the most that was resident in a run over 500
// hosts, all connected in the end, less that of a run over one.
func BenchmarkMemory(b *testing.B) {
	program := buildRunner(b)
	resident := map[int]int64{}
	for _, n := range []int{1, 500} {
		c := newContest(b, program, n, 50, "", 0)
		c.write("fleet.lua", fmt.Sprintf(fleetRecipe, c.path("lines")))
		took, kib := c.run("fleet.lua")
		resident[n] = kib
		fmt.Printf("%d hosts: %d KiB resident, %.2f s, load %s\n", n, kib, took.Seconds(), load())
	}
	b.ReportMetric(float64(resident[500]-resident[1])/499, "KiB/host")
}
