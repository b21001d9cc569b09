package modules

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"runner/runtime/host"
	"runner/runtime/module"
)

// initScript is a service of a host without systemd: a script in /etc/init.d.
type initScript struct {
	script  string // its name
	pidFile string
	level   string // the run level that the host boots to
	links   []initLink
}

// initLink is a link in /etc/rcN.d by which init starts (S) or ends (K) a service.
type initLink struct {
	path  string
	start bool
	order int
}

// initEnv is what init scripts are run with, as service(8) does: they are not to see what a login has set.
const initEnv = `cd / && env -i LANG="$LANG" TERM=dumb PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`

// initLook prints what readInitReport reads. $1 is the service, $2 a file with its process number. Many scripts of old
// releases know no "status", so the files with process numbers and the program that the script names get looked at as well.
// A number counts only when its program is named in the script, because numbers are used again; that no process of the
// program is found counts only when it is no script itself, because then its interpreter is what runs.
const initLook = `f=/etc/init.d/$1
if [ ! -f "$f" ]; then echo 'script no'; exit 0; fi
echo 'script yes'
if grep -Eq '^[^#]*status[^[:alnum:]_=-]*[|)]' "$f"; then
  said=$( ` + initEnv + ` "$f" status </dev/null 2>&1 ); echo "status $?"
  printf '%s\n' "$said" | head -n 3 | sed 's/^/said /'
fi
set_in() { sed -n "s/^[[:space:]]*$1=[\"']\{0,1\}\([^\"'[:space:]]*\).*/\1/p" "$f" | head -n 1; }
name=$(set_in NAME)
expand() { sed "s|\\\$NAME|$name|g;s|\\\${NAME}|$name|g" | grep '^/[^$]*$'; }
named=$(set_in PIDFILE | expand)
for p in "$2" "$named" "/var/run/$1.pid" "/var/run/$1/$1.pid" "/var/run/$1/master.pid" "/var/spool/$1/pid/master.pid"
do
  [ -n "$p" ] || continue
  if [ ! -r "$p" ]; then
    if [ "$p" = "$2" ] || [ "$p" = "$named" ]; then echo "watched $p"; fi
    continue
  fi
  pid=; read pid rest < "$p"
  case $pid in ''|*[!0-9]*) continue;; esac
  echo "watched $p"
  exe=$(readlink "/proc/$pid/exe" 2>/dev/null) || continue
  exe=${exe% (deleted)}
  if [ "$p" = "$2" ] || grep -qF -e "${exe##*/}" "$f"; then echo "pid $pid"; fi
done
daemon=$(set_in DAEMON | expand)
if [ -f "$daemon" ] && head -c 4 "$daemon" | grep -q ELF; then
  echo "watched $daemon"
  find /proc/[0-9]*/exe -maxdepth 0 -lname "$daemon" 2>/dev/null | sed 's|^/proc/\([0-9]*\)/exe$|pid \1|'
fi
level=$(sed -n 's/^id:\([0-9]\):initdefault:.*/\1/p' /etc/inittab 2>/dev/null | head -n 1)
echo "level ${level:-2}"
for l in /etc/rc[0-6].d/[SK][0-9][0-9]"$1"; do
  if [ -e "$l" ] || [ -L "$l" ]; then echo "link $l"; fi
done
:`

func findInitScript(ctx context.Context, a *serviceArgs) (serviceManager, error) {
	name := strings.TrimSuffix(a.Name, ".service")
	i := &initScript{script: name, pidFile: a.PidFile}
	report, err := i.ask(ctx, a.On)
	if err != nil {
		return nil, err
	}
	if !report.exists {
		return nil, unknownService(ctx, a)
	}
	return i, nil
}

// initReport is what initLook tells.
type initReport struct {
	exists  bool
	status  int // of the script's "status"; -1: it knows none
	said    string
	pids    []int
	watched []string // what would show a running service: files with process numbers, its program
	level   string
	links   []initLink
}

func (i *initScript) ask(ctx context.Context, v *host.View) (*initReport, error) {
	out, err := v.QueryScript(ctx, initLook, i.script, i.pidFile)
	if err != nil {
		return nil, fmt.Errorf("cannot look at /etc/init.d/%s on %s: %w", i.script, v.Name(), why(why(err)))
	}
	return readInitReport(out.Stdout), nil
}

func readInitReport(text string) *initReport {
	r := &initReport{status: -1, level: "2"}
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch word {
		case "script":
			r.exists = rest == "yes"
		case "status":
			r.status, _ = strconv.Atoi(rest)
		case "said":
			if r.said == "" {
				r.said = strings.TrimSpace(rest)
			}
		case "pid":
			if pid, err := strconv.Atoi(rest); err == nil {
				r.pids = append(r.pids, pid)
			}
		case "watched":
			r.watched = append(r.watched, rest)
		case "level":
			r.level = rest
		case "link":
			if base := path.Base(rest); len(base) > 3 {
				order, _ := strconv.Atoi(base[1:3])
				r.links = append(r.links, initLink{path: rest, start: base[0] == 'S', order: order})
			}
		}
	}
	return r
}

func (i *initScript) name() string          { return i.script }
func (i *initScript) settle() time.Duration { return 200 * time.Millisecond }
func (i *initScript) hint() string          { return "its log is in /var/log: syslog, daemon.log, mail.log" }

func (i *initScript) look(ctx context.Context, v *host.View) (*serviceState, error) {
	r, err := i.ask(ctx, v)
	if err != nil {
		return nil, err
	}
	i.level, i.links = r.level, r.links
	s, err := r.state()
	if err != nil {
		return nil, fmt.Errorf("cannot tell whether %s runs on %s: %w", i.script, v.Name(), err)
	}
	return s, nil
}

// state makes of the report what the Linux Standard Base says of init scripts (LSB 5.0 Core, 22.2): status 0 is
// running, 1 to 3 are not running; scripts that know no "status" print their usage and end with any of them.
func (r *initReport) state() (*serviceState, error) {
	s := &serviceState{detail: r.said}
	usage := strings.HasPrefix(strings.ToLower(r.said), "usage")
	switch {
	case len(r.pids) > 0 && (r.status != 0):
		s.running, s.pid = true, r.pids[0]
	case r.status == 0 && !usage:
		s.running = true
		if len(r.pids) > 0 {
			s.pid = r.pids[0]
		}
	case r.status >= 1 && r.status <= 3 && !usage:
	case len(r.watched) > 0:
	case r.status == -1 || usage || r.status >= 4:
		return nil, module.WithHint(errors.New("its init script does not say, and names neither a program nor a file with its process number"),
			"name that file with pid_file = \"/var/run/….pid\"")
	}
	if s.detail == "" || usage {
		s.detail = s.word()
	}
	boot := r.starts()
	s.boot, s.bootIs = &boot, "disabled"
	if boot {
		s.bootIs = "enabled"
	}
	return s, nil
}

// starts says whether a link starts the service in the run level that the host boots to.
func (r *initReport) starts() bool {
	for _, l := range r.links {
		if l.start && (path.Dir(l.path) == "/etc/rc"+r.level+".d" || path.Dir(l.path) == "/etc/rcS.d") {
			return true
		}
	}
	return false
}

// initDo runs an init script in a session of its own and with its output in a file: a daemon that keeps its output open
// would otherwise hold on to the connection, and one that stays in the session could be ended together with it.
const initDo = `out=$(mktemp) || exit
` + initEnv + ` setsid "/etc/init.d/$1" "$2" </dev/null >"$out" 2>&1
status=$?
tail -n 20 "$out" >&2
rm -f "$out"
exit $status`

func (i *initScript) do(ctx context.Context, h *host.Host, verb string) error {
	_, err := h.RunCommand(ctx, host.Script(initDo, i.script, verb))
	var exit *host.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	if verb == "reload" && (exit.Status == 3 || strings.Contains(strings.ToLower(exit.Stderr), "usage:")) {
		return errors.New(`its init script knows no reload (use state = "restarted")`)
	}
	text := fmt.Sprintf("/etc/init.d/%s %s ended with status %d", i.script, verb, exit.Status)
	if said := strings.TrimSpace(exit.Stderr); said != "" {
		text += ": " + said
	}
	return errors.New(text)
}

// enable uses update-rc.d, which knows how the host orders its services. The one of Lenny cannot enable and disable
// (those came with sysv-rc 2.88); there the links are renamed as it would do.
func (i *initScript) enable(ctx context.Context, h *host.Host, on bool) error {
	verb := "disable"
	if on {
		verb = "enable"
	}
	links := "some"
	if len(i.links) == 0 {
		links = "none"
	}
	if _, err := h.RunCommand(ctx, host.Script(initEnable, i.script, verb, links)); err != nil {
		return fmt.Errorf("cannot %s %s on %s: %w", verb, i.script, h.Name(), why(err))
	}
	r, err := i.ask(ctx, h.View)
	if err != nil || r.starts() == on {
		return err
	}
	return i.relink(ctx, h, r.links, on)
}

// initEnable enables or disables ($2) the service $1, which has links in /etc/rcN.d or none ($3).
const initEnable = `PATH=$PATH:/usr/sbin:/sbin
command -v update-rc.d >/dev/null || exit 0
if [ "$3" = none ]; then update-rc.d "$1" defaults >/dev/null || exit; fi
update-rc.d "$1" "$2" 2>&1 || :`

// relink turns S links into K links of the opposite order, or back, in the run levels in which services run.
func (i *initScript) relink(ctx context.Context, h *host.Host, links []initLink, on bool) error {
	for _, l := range links {
		level := strings.TrimSuffix(strings.TrimPrefix(path.Dir(l.path), "/etc/rc"), ".d")
		if l.start == on || !strings.Contains("2345", level) {
			continue
		}
		letter := "K"
		if on {
			letter = "S"
		}
		to := path.Join(path.Dir(l.path), fmt.Sprintf("%s%02d%s", letter, (100-l.order)%100, i.script))
		if err := h.Files().Rename(ctx, l.path, to); err != nil {
			return fmt.Errorf("cannot rename %s to %s on %s: %w", l.path, to, h.Name(), why(err))
		}
	}
	return nil
}

func (i *initScript) recent(ctx context.Context, v *host.View) []string {
	out, err := v.QueryScript(ctx, initLog, i.script)
	if err != nil {
		return nil
	}
	return out.Lines()
}

// initLog prints the last lines that name a service in the logs of hosts without a journal, in the order of their times ("Nov 30 …"
// comes before "Dec  1 …").
const initLog = `for f in /var/log/syslog /var/log/daemon.log /var/log/mail.log /var/log/messages; do
  [ -r "$f" ] && tail -n 300 "$f"
done | grep -iF -e "$1" | LC_ALL=C sort -s -k1,1M -k1,1 -k2,2n -k3,3 | uniq | tail -n 10
:`
