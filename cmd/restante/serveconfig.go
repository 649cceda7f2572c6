package main

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"restante/restore"
	"restante/schedules"
	"restante/schedules/calendar"
	"restante/schedules/queue"
)

// serveConfig is what restante serve needs to know besides accounts.
//
//	[serve]
//	database = "postgres://restante@db.example.org/restante"
//	at-once = 8
//	listen = "127.0.0.1:9721"
type serveConfig struct {
	// Database is where runs and their history are: a file, or postgres://… for
	// several machines that share the work. Without one it is a file that only
	// this machine knows. It can be lost: the repository has all that matters.
	Database string `toml:"database"`
	// DatabaseFile is a file with the database's URL, which may hold a password.
	DatabaseFile string `toml:"database-file"`
	// Machine is what this machine is called in the history; the host name if
	// empty.
	Machine string `toml:"machine"`
	// AtOnce is how many accounts this machine works at; 0 for 8. Those at the same
	// time share packs: more at once are fewer objects.
	AtOnce int `toml:"at-once"`
	// PerServer is how many accounts of one mail server there may be at once, of
	// all machines together; 0 for 8. [server."NAME"] has it for one server.
	PerServer int `toml:"per-server"`
	// DeadAfter is how long another machine may be silent until its runs are taken
	// over: "1m" if empty.
	DeadAfter string `toml:"dead-after"`
	// Listen is where metrics, /healthz and /readyz are; nowhere if empty.
	Listen string `toml:"listen"`
	// WatchConnections is how many connections this machine may keep open to wait
	// for changes (watch = true in an account); 0 for 200.
	WatchConnections int `toml:"watch-connections"`
	// ScratchDir is where rehearsals restore to; the system's directory for
	// temporary files if empty.
	ScratchDir string `toml:"scratch-dir"`
	// CheckWithin is in how many days the scheduled checks read all data; 0 for 30.
	CheckWithin int `toml:"check-within"`
}

// serverConfig is what is to be kept in mind of one mail server.
//
//	[server."imap.example.org"]
//	at-once = 20
type serverConfig struct {
	// AtOnce is how many of its accounts there may be at once.
	AtOnce int `toml:"at-once"`
}

// scheduleConfig is a job that is done again and again.
//
//	[schedule.nightly]
//	every = "0 1 * * *"
//	zone = "Europe/Berlin"
//	spread = "3h"
//	not-during = ["mon-fri 07:30-18:00"]
//
//	[schedule.archive]
//	job = "export"
//	every = "@weekly"
//	accounts = ["legal", "board/*"]
//	to = "mbox:/srv/export/{account}"
type scheduleConfig struct {
	// Job is backup (the default), export, forget, prune, check or rehearsal.
	Job string `toml:"job"`
	// Every is when: a cron expression of five fields, or six with seconds first,
	// or @hourly, @nightly (at one), @daily, @weekly, @monthly, @yearly, @every 6h.
	Every string `toml:"every"`
	// Zone is where its hours are, such as "Europe/Berlin"; the configuration's
	// time-zone if empty. A time that a change of clocks skips comes right after
	// it; one that there is twice comes once.
	Zone string `toml:"zone"`
	// Spread gives each account a time of its own in that time, always the same.
	Spread string `toml:"spread"`
	// NotDuring are windows in which nothing begins, and what runs is stopped and
	// goes on afterwards: "mon-fri 08:00-18:00", "22:00-06:00".
	NotDuring []string `toml:"not-during"`
	// SkipMissed leaves out what was missed while nothing ran. Otherwise it is
	// caught up, once.
	SkipMissed bool `toml:"skip-missed"`
	// Accounts are patterns of the accounts it is for, and Groups the groups; all
	// if both are empty.
	Accounts []string `toml:"accounts"`
	Groups   []string `toml:"groups"`
	// To is where an export goes: maildir:DIR or mbox:DIR, {account} being the
	// account's name as a file may be called.
	To string `toml:"to"`
}

// usually is what is done if the configuration has no schedule at all.
var usually = map[string]*scheduleConfig{
	"nightly":   {Job: "backup", Every: "@nightly", Spread: "2h"},
	"forget":    {Job: "forget", Every: "0 5 * * *"},
	"prune":     {Job: "prune", Every: "0 6 * * sun"},
	"check":     {Job: "check", Every: "0 7 * * *"},
	"rehearsal": {Job: "rehearsal", Every: "0 8 * * sat"},
}

// scheduled are the schedules of the configuration, in the order of their
// names.
func (c *config) scheduled() (list []schedules.Schedule, err error) {
	configured := c.Schedules
	if len(configured) == 0 {
		configured = usually
	}
	for _, name := range slices.Sorted(maps.Keys(configured)) {
		s, err := c.schedule(name, configured[name])
		if err != nil {
			return nil, wrongUsage(fmt.Errorf("%s: schedule %q: %w", c.path, name, err))
		}
		list = append(list, s)
	}
	for name, a := range c.Accounts {
		if a == nil {
			continue
		}
		for _, n := range a.Schedules {
			if s := configured[n]; s == nil || s.Job != "" && s.Job != string(queue.Backup) {
				return nil, withHint(wrongUsage(fmt.Errorf("%s: account %q: there is no schedule %q for backups", c.path, name, n)), "begin one with a line [schedule.%s]", n)
			}
		}
	}
	return list, nil
}

func (c *config) schedule(name string, s *scheduleConfig) (out schedules.Schedule, err error) {
	if s == nil {
		return out, errors.New("it is empty")
	}
	out = schedules.Schedule{Name: name, Job: queue.Backup, Skip: s.SkipMissed, Of: s.of()}
	if s.Job != "" {
		out.Job = queue.Kind(s.Job)
	}
	switch {
	case !slices.Contains(queue.Kinds, out.Job):
		kinds := make([]string, len(queue.Kinds))
		for i, k := range queue.Kinds {
			kinds[i] = string(k)
		}
		return out, withHint(fmt.Errorf("there is no job %q", s.Job), "there are: %s", strings.Join(kinds, ", "))
	case !schedules.PerAccount(out.Job) && (len(s.Accounts) > 0 || len(s.Groups) > 0):
		return out, withHint(fmt.Errorf("a %s is of the whole repository, not of accounts", out.Job), "leave accounts and groups out")
	case out.Job == queue.Export && !strings.Contains(s.To, "{account}"):
		return out, withHint(errors.New("an export needs a place for each account"), "write to = \"mbox:/srv/export/{account}\"")
	case out.Job == queue.Export && !strings.HasPrefix(s.To, "maildir:") && !strings.HasPrefix(s.To, "mbox:"):
		return out, withHint(fmt.Errorf("%q is no place for files", s.To), "write to = \"mbox:/srv/export/{account}\", or maildir:")
	case out.Job != queue.Export && s.To != "":
		return out, fmt.Errorf("to is for exports, and this is a %s", out.Job)
	}
	for _, g := range s.Groups {
		if c.Groups[g] == nil {
			return out, withHint(fmt.Errorf("there is no group %q", g), "groups begin with [group.%s]", g)
		}
	}
	out.Rule = calendar.Rule{Every: s.Every, Zone: time.Local}
	if zone := s.Zone; zone != "" || c.TimeZone != "" {
		if zone == "" {
			zone = c.TimeZone
		}
		if out.Rule.Zone, err = time.LoadLocation(zone); err != nil {
			return out, withHint(fmt.Errorf("there is no time zone %q", zone), "write it as Europe/Berlin or UTC")
		}
	}
	if s.Spread != "" {
		if out.Rule.Spread, err = time.ParseDuration(s.Spread); err != nil {
			return out, withHint(fmt.Errorf("%q is no time", s.Spread), "write spread = \"2h\" or \"90m\"")
		}
	}
	for _, text := range s.NotDuring {
		w, err := calendar.ParseWindow(text)
		if err != nil {
			return out, err
		}
		out.Rule.Quiet = append(out.Rule.Quiet, w)
	}
	out.Table, err = calendar.Parse(out.Rule)
	if err != nil {
		err = withHint(err, "write every = \"@nightly\", or \"0 1 * * *\" for one o'clock each day")
	}
	return out, err
}

// of says which accounts a schedule is for.
func (s *scheduleConfig) of() func(schedules.Account) bool {
	return func(a schedules.Account) bool {
		if len(s.Accounts) == 0 && len(s.Groups) == 0 {
			return true
		}
		return a.Group != "" && slices.Contains(s.Groups, a.Group) ||
			slices.ContainsFunc(s.Accounts, func(p string) bool { return restore.MatchFolder(p, a.Name) })
	}
}

// proveServe finds what is wrong with schedules before the night.
func (c *config) proveServe() error {
	if _, err := c.scheduled(); err != nil {
		return err
	}
	if c.Serve.AtOnce < 0 || c.Serve.PerServer < 0 || c.Serve.CheckWithin < 0 || c.Serve.WatchConnections < 0 {
		return withHint(wrongUsage(fmt.Errorf("%s: [serve]: a number is less than nothing", c.path)), "leave the line out, or write 1 or more")
	}
	if _, err := c.deadAfter(); err != nil {
		return err
	}
	for name, s := range c.Servers {
		if s == nil || s.AtOnce < 1 {
			return withHint(wrongUsage(fmt.Errorf("%s: server %q: how many accounts may there be at once?", c.path, name)), "add a line such as: at-once = 8")
		}
	}
	return nil
}

// deadAfter is how long another machine may be silent; zero: as long as usual.
func (c *config) deadAfter() (time.Duration, error) {
	if c.Serve.DeadAfter == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(c.Serve.DeadAfter)
	if err != nil || d < 5*time.Second {
		return 0, withHint(wrongUsage(fmt.Errorf("%s: [serve]: dead-after: %q is no time of five seconds or more", c.path, c.Serve.DeadAfter)), "write dead-after = \"1m\"")
	}
	return d, nil
}

// perServer is how many runs of a server there may be at once.
func (c *config) perServer(server string) int {
	if s := c.Servers[server]; s != nil {
		return s.AtOnce
	}
	if c.Serve.PerServer > 0 {
		return c.Serve.PerServer
	}
	return 8
}

// database is where the queue is.
func (c *config) database() (string, error) {
	s := &c.Serve
	switch {
	case s.Database != "" && s.DatabaseFile != "":
		return "", withHint(wrongUsage(fmt.Errorf("%s: [serve]: both database and database-file", c.path)), "leave one out")
	case s.DatabaseFile != "":
		b, err := os.ReadFile(beside(c.path, s.DatabaseFile))
		if err != nil {
			return "", fmt.Errorf("the database's URL: %w", err)
		}
		return strings.TrimSpace(string(b)), nil
	case queue.IsPostgres(s.Database):
		return s.Database, nil
	case strings.Contains(s.Database, "://"):
		return "", withHint(wrongUsage(fmt.Errorf("%s: [serve]: there are no databases of that kind", c.path)), "write the path of a file, or postgres://USER@HOST/DATABASE")
	case s.Database != "":
		return beside(c.path, s.Database), nil
	}
	if dir := os.Getenv("STATE_DIRECTORY"); dir != "" { // systemd's
		dir, _, _ = strings.Cut(dir, ":")
		return filepath.Join(dir, "restante.db"), nil
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "restante", "restante.db"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", withHint(fmt.Errorf("where is the database? %w", err), "write database = \"/var/lib/restante/restante.db\" under [serve]")
	}
	return filepath.Join(home, ".local", "state", "restante", "restante.db"), nil
}

// exportPlace is where an account's export goes. The account's name may be
// anything, and becomes one level of the path.
func exportPlace(to, account string) string {
	name := url.PathEscape(account)
	if strings.HasPrefix(name, ".") {
		name = "%2E" + name[1:]
	}
	return strings.ReplaceAll(to, "{account}", name)
}
