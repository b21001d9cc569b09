package modules

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"runner/runtime/host"
	"runner/runtime/module"
)

// cronArgs are the arguments of cron.
//
// The job stands in a file of its own, /etc/cron.d/NAME, which cron reads by itself within a minute. It needs root. A percent sign in the command is
// written as it is: what crontab(5) wants is put before it.
//
// # Example
//
//	cron { on = new, name = "dovecot-index", minute = "15", hour = "3", user = "root", job = "doveadm index -A '*'" }
//	cron { on = new, name = "late-mail", at = "reboot", job = "/usr/local/sbin/late-mail" }
//	cron { on = old, name = "backup", state = "absent" }
//
// # Result
//
//   - path (string): the file
//   - line (string): the line of the job
type cronArgs struct {
	// Host that runs the job.
	On *host.View `lua:"on,required"`
	// Name of the job: letters, digits, _ and -, since cron passes over other files.
	Name string `lua:"name,required"`
	// What is to be there.
	State string `lua:"state" choice:"present,absent" default:"present"`
	// Command line, for /bin/sh. Never put a password here.
	Job string `lua:"job"`
	// User who runs it.
	User string `lua:"user" default:"root"`
	// Minutes, as crontab(5) has them: "5", "*/10", "0,30", "10-20".
	Minute string `lua:"minute" default:"*"`
	// Hours.
	Hour string `lua:"hour" default:"*"`
	// Days of the month.
	Day string `lua:"day" default:"*"`
	// Months.
	Month string `lua:"month" default:"*"`
	// Days of the week: 0 and 7 are Sunday.
	Weekday string `lua:"weekday" default:"*"`
	// Instead of all these: how often, or at each start of the host.
	At string `lua:"at" choice:"hourly,daily,weekly,monthly,yearly,reboot"`
	// Variables that the job finds. MAILTO is who gets what it prints. Never a password: others can read the file.
	Env map[string]string `lua:"env"`
}

var (
	cronName  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	cronField = regexp.MustCompile(`^[0-9A-Za-z*,/-]{1,100}$`)
	envName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// Validate checks what the types of the arguments cannot.
func (a *cronArgs) Validate() error {
	if !cronName.MatchString(a.Name) {
		return fmt.Errorf("name must be of letters, digits, _ and -, since cron passes over other files: %q", a.Name)
	}
	if a.State == "absent" {
		if a.Job != "" {
			return errors.New(`job does not go with state = "absent"`)
		}
		return nil
	}
	times := map[string]string{"minute": a.Minute, "hour": a.Hour, "day": a.Day, "month": a.Month, "weekday": a.Weekday}
	all := true
	for name, text := range times {
		if !cronField.MatchString(text) {
			return fmt.Errorf("%s: %q is nothing that crontab(5) knows", name, text)
		}
		all = all && text == "*"
	}
	for name, value := range a.Env {
		if !envName.MatchString(name) || strings.ContainsAny(value, "\n\r\x00") {
			return fmt.Errorf("env: %q cannot stand in a crontab", name)
		}
	}
	switch {
	case strings.TrimSpace(a.Job) == "":
		return errors.New("job is missing")
	case strings.ContainsAny(a.Job, "\n\r\x00"):
		return errors.New("job must be one line")
	case a.At != "" && !all:
		return errors.New("at stands instead of minute, hour, day, month and weekday")
	case a.At == "" && a.Minute == "*" && a.Hour != "*":
		return errors.New("minute is missing: the job would be run every minute of the hour; minute = \"*\" cannot be meant")
	}
	return checkAccount("user", a.User)
}

func (a *cronArgs) path() string { return path.Join("/etc/cron.d", a.Name) }

func (a *cronArgs) line() string {
	when := "@" + a.At
	if a.At == "" {
		when = strings.Join([]string{a.Minute, a.Hour, a.Day, a.Month, a.Weekday}, " ")
	}
	job := strings.ReplaceAll(strings.TrimSpace(a.Job), `\%`, "%")
	return fmt.Sprintf("%s %s %s", when, a.User, strings.ReplaceAll(job, "%", `\%`))
}

func planCron(ctx context.Context, a *cronArgs) (*module.Plan, error) {
	args := &fileArgs{On: a.On, Path: a.path(), State: "absent", Backup: true}
	output := map[string]any{"path": a.path(), "line": ""}
	if a.State == "present" {
		var text strings.Builder
		for _, name := range sortedKeys(a.Env) {
			fmt.Fprintf(&text, "%s=\"%s\"\n", name, a.Env[name])
		}
		fmt.Fprintf(&text, "%s\n", a.line())
		args.State, args.Content, args.Mode, args.Owner, args.Group = "file", text.String(), "0644", "0", "0"
		output["line"] = a.line()
		if _, err := findID(ctx, a.On, "passwd", "user", a.User); err != nil {
			return nil, err
		}
	}
	plan, err := planFile(ctx, args)
	if err != nil {
		return nil, err
	}
	plan.Output = output
	return plan, nil
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
