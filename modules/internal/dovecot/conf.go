package dovecot

import (
	"regexp"
	"strings"
)

// Setting is one setting of a configuration, and the blocks that it stands in, the outermost first: "protocol lmtp", "plugin".
type Setting struct {
	Blocks      []string
	Name, Value string
}

// Conf is what `doveconf -n` prints.
type Conf []Setting

// ParseConf reads what `doveconf -n` prints: "name = value" and blocks in braces, one to a line.
func ParseConf(text string) Conf {
	var c Conf
	var blocks []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		header, opens := strings.CutSuffix(line, "{")
		name, value, sets := strings.Cut(line, "=")
		switch {
		case strings.HasPrefix(line, "#"):
		case line == "}":
			blocks = blocks[:max(0, len(blocks)-1)]
		case opens && !sets:
			blocks = append(blocks, strings.TrimSpace(header))
		case sets:
			c = append(c, Setting{append([]string(nil), blocks...), strings.TrimSpace(name), strings.TrimSpace(value)})
		}
	}
	return c
}

// inner is the kind of the innermost block and its name, without quotes: "quota" and "User quota" of `quota "User quota" {`.
func (s Setting) inner() (kind, name string) {
	if len(s.Blocks) == 0 {
		return "", ""
	}
	kind, name, _ = strings.Cut(s.Blocks[len(s.Blocks)-1], " ")
	return kind, strings.Trim(name, `" `)
}

// sections are the settings of each block of a kind, by their names, in their order: all that stand directly in one.
func (c Conf) sections(kind string) []map[string]string {
	var list []map[string]string
	at := map[string]int{}
	for _, s := range c {
		if is, _ := s.inner(); is != kind {
			continue
		}
		path := strings.Join(s.Blocks, "\n")
		if _, seen := at[path]; !seen {
			at[path] = len(list)
			list = append(list, map[string]string{})
		}
		list[at[path]][s.Name] = s.Value
	}
	return list
}

var quotaRoot = regexp.MustCompile(`^quota\d*$`)

// QuotaDriver is how Dovecot keeps the quota of users ("maildir", "count"), of the first root that there is; "" where it keeps none.
func (c Conf) QuotaDriver() string {
	for _, s := range c { // until 2.3: quota = maildir:User quota
		if kind, _ := s.inner(); kind == "plugin" && quotaRoot.MatchString(s.Name) {
			driver, _, _ := strings.Cut(s.Value, ":")
			return driver
		}
	}
	roots := c.sections("quota") // since 2.4
	switch {
	case len(roots) == 0:
		return ""
	case roots[0]["driver"] != "":
		return roots[0]["driver"]
	}
	return "count"
}

// Script is where a sieve script or a directory of them lies, and where its compiled form goes when that is elsewhere.
type Script struct{ Path, Binaries string }

var (
	personalScript = regexp.MustCompile(`^sieve$`)
	globalScript   = regexp.MustCompile(`^(sieve_(before|after)\d*|sieve_default|sieve_global_path|imapsieve_mailbox\d+_(before|after)|sieve_discard)$`)
)

// Scripts are the sieve scripts that the configuration names: of all users, and the active one of each user, with variables.
func (c Conf) Scripts() (global, personal []Script) {
	add := func(list *[]Script, s Script) {
		if s.Path == "" {
			return
		}
		for _, other := range *list {
			if other == s {
				return
			}
		}
		*list = append(*list, s)
	}
	for _, s := range c {
		switch kind, _ := s.inner(); {
		case kind != "plugin":
		case personalScript.MatchString(s.Name):
			add(&personal, scriptLocation(s.Value))
		case globalScript.MatchString(s.Name):
			add(&global, scriptLocation(s.Value))
		}
	}
	for _, s := range c.sections("sieve_script") {
		script := Script{Path: s["path"], Binaries: s["bin_path"]}
		switch {
		case s["driver"] != "" && s["driver"] != "file":
		case s["type"] != "" && s["type"] != "personal":
			add(&global, script)
		case s["active_path"] != "":
			add(&personal, Script{Path: s["active_path"], Binaries: s["bin_path"]})
		default:
			add(&personal, Script{Path: defaultActive, Binaries: s["bin_path"]})
		}
	}
	if len(personal) == 0 {
		personal = []Script{{Path: defaultActive}}
	}
	return global, personal
}

// defaultActive is the script of a user unless the configuration says another.
const defaultActive = "~/.dovecot.sieve"

// scriptLocation reads a location of 2.3: "file:~/sieve;active=~/.dovecot.sieve;bindir=/var/bin". What lies in no file has no path.
func scriptLocation(text string) Script {
	parts := strings.Split(text, ";")
	driver, path, ok := strings.Cut(parts[0], ":")
	switch {
	case !ok || strings.Contains(driver, "/"):
		path = parts[0]
	case driver != "file":
		return Script{}
	}
	s := Script{Path: path}
	for _, option := range parts[1:] {
		switch name, value, _ := strings.Cut(option, "="); name {
		case "active":
			s.Path = value
		case "bindir":
			s.Binaries = value
		}
	}
	return s
}

// Of is where a script of the configuration lies for a user; ok is false where that cannot be told.
func (s Script) Of(user User) (Script, bool) {
	for _, field := range []*string{&s.Path, &s.Binaries} {
		if *field == "" {
			continue
		}
		if rest, ok := strings.CutPrefix(*field, "~/"); ok {
			*field = "%h/" + rest
		}
		p, err := ParsePattern(*field)
		if err != nil {
			return s, false
		}
		text, ok := p.Expand(ParseAccount(user.Name), user.Fields["home"])
		if !ok || !strings.HasPrefix(text, "/") {
			return s, false
		}
		*field = text
	}
	return s, s.Path != ""
}

var scriptComplaint = regexp.MustCompile(`^(\S+): line (\d+): (error|warning): (.*)$`)

// ScriptErrors are those of what sievec prints of a script that it calls by a name, each with the path of the script and the line:
// "/etc/spam.sieve:2: unknown test". What it says of no line is told only if there is nothing else.
func ScriptErrors(path, name, text string) []string {
	var list, other []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		m := scriptComplaint.FindStringSubmatch(line)
		switch {
		case m == nil && line != "":
			other = append(other, path+": "+line)
		case m == nil || m[3] == "warning":
		case m[1] == name:
			list = append(list, path+":"+m[2]+": "+m[4])
		default: // of a script that it includes
			list = append(list, path+": "+m[1]+".sieve:"+m[2]+": "+m[4])
		}
	}
	if len(list) == 0 {
		return other
	}
	return list
}
