package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

// FuzzConfig: whatever a configuration file has in it, it is refused with the
// file's name in one line, or its schedules and keep rules can be worked with.
func FuzzConfig(f *testing.F) {
	files, err := filepath.Glob("deploy/*.toml")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	for _, s := range []string{
		"repository = \"/srv\"\n[account.alice]\nurl = \"imaps://alice@h\"\npassword = \"s3cret\"\n", "[account.a]\noauth = { provider = \"google\", clientid = \"s3cret\" }\n", "[alerts]\nwebhook = [{ url = \"s3cret\" }]\n",
		"[account]\na = \"s3cret\"\n", "[schedule.x]\nevery = \"TZ=\"\n", "[schedule.x]\nevery = \"@every 1s\"\nnot-during = [\"s3cret\"]\n", "keep = \"last\"\n", "\ufeffx = 1", "a.b.c = [[[[", "[account.\"\\u001b[2J\"]\nurl = 3\n",
		"[group.staff]\nlist = \"users.csv\"\nurl = \"imaps://{user}@h\"\n[group.staff.ldap]\nurl = \"ldaps://h\"\n", "time-zone = \"../../etc/passwd\"\n", "[serve]\ndead-after = \"1ns\"\n", "[alerts]\nreport-at = \"25:00\"\nmail = { to = 3 }\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseConfig("restante.toml", []byte(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "restante.toml") || !errors.Is(err, errUsage) {
				t.Errorf("shown as %q", err)
			}
			if shown := oneLine(err.Error()); strings.ContainsFunc(shown, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
				t.Errorf("shown as %q", shown)
			}
			return
		}
		if _, err := c.scheduled(); err != nil && len(c.Schedules) == 0 {
			t.Errorf("%q: the usual schedules: %v", text, err)
		}
		for _, name := range c.accountNames() {
			if _, err := c.keepRules(name); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
}

// FuzzArguments: whatever the words of a command line are, they are understood, or
// refused; nothing of it is run here.
func FuzzArguments(f *testing.F) {
	for _, s := range []string{
		"backup\nalice", "ls\nalice\nINBOX\n--at\n3d", "check\n--read-data=5%", "check\n--read-data\n--read-share=1/30", "check\n--read-share=0.0000001", "forget\n--keep\nlast 7\n--dry-run", "restore\nalice\n--to\nmaildir:/x",
		"--json\n-v\n-q\nstats", "key\nadd", "-c", "\x00", "--help=x", "search", "@file", "--", "cat\nalice\nINBOX#1", "check\n--read-data=NaN", "check\n--read-share=NaN", "check\n--read-data=+Inf%",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, words string) {
		c := new(cli)
		exited := false
		parser, err := kong.New(c, kong.Name("restante"), kong.Vars{"since": sinceUsually}, kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) { exited = true }), kong.Help(printHelp))
		if err != nil {
			t.Fatal(err)
		}
		k, err := parser.Parse(strings.Split(words, "\n"))
		if err != nil || exited {
			return
		}
		if k.Selected() == nil {
			t.Errorf("%q is taken, and no command", words)
		}
		if s := c.Check.ReadData; s < 0 || s > 1 {
			t.Errorf("%q reads the share %v", words, s)
		}
		if s := c.Check.ReadShare; s < 0 || s > mostDays {
			t.Errorf("%q reads all in %d days", words, s)
		}
	})
}

// FuzzVisible: whatever comes from a message or a server, in whatever pieces, what
// is shown of it on a terminal steers nothing, and lines are one line.
func FuzzVisible(f *testing.F) {
	for _, s := range []string{"\x1b[2J", "a\r\nb\rc", "\u202eabc", "\x9b\xff", "caf\u00e9", "\xf0\x9f\x98", "\t\n"} {
		f.Add([]byte(s), 1)
	}
	f.Fuzz(func(t *testing.T, text []byte, step int) {
		var b bytes.Buffer
		v := visibleWriter{w: &b}
		for rest := text; len(rest) > 0; {
			n := min(len(rest), 1+max(0, step)%7)
			if _, err := v.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := v.flush(); err != nil {
			t.Fatal(err)
		}
		if b.String() != visible(string(text)) {
			t.Errorf("%q is shown as %q, in pieces %q", text, visible(string(text)), b.String())
		}
		for _, shown := range []string{b.String(), oneLine(string(text))} {
			if !utf8.ValidString(shown) || strings.ContainsFunc(shown, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || turns(r) }) {
				t.Errorf("%q is shown as %q", text, shown)
			}
		}
		if strings.ContainsAny(oneLine(string(text)), "\r\n") {
			t.Errorf("%q is no line", oneLine(string(text)))
		}
		if len(b.String()) > 8*len(text) {
			t.Errorf("%d octets are shown as %d", len(text), b.Len())
		}
	})
}

// FuzzDay: a day or an age on the command line is refused by name, or is a time.
func FuzzDay(f *testing.F) {
	for _, s := range []string{"2026-11-20", "30d", "", "2026-13-01", "1y", "\x1b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := day(text)
		if err == nil && at.IsZero() != (text == "") && at.Year() > 1 {
			t.Errorf("%q is %v", text, at)
		}
		if _, err := parsePoint("at", text); err != nil && !errors.Is(err, errUsage) {
			t.Errorf("%q: %v", text, err)
		}
	})
}
