package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// oddWords are words of a command that mean something to cron, shells or
// systemd.
var oddWords = []string{"plain", "", "two words", "it's", `"quoted"`, `back\slash`, "50%", "$HOME", "`id`", "a;b|c>d", "s3://b/p?endpoint=https://h&region=x", "Lists/**", "é"}

func TestCronLineIsTheCommand(t *testing.T) {
	t.Parallel()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no sh")
	}
	line := cronLine(append([]string{"printf", `%s\n`}, oddWords...))
	m := regexp.MustCompile(`^([0-9]+) \* \* \* \* (.*)$`).FindStringSubmatch(line)
	if m == nil || len(m[1]) > 2 || m[1] > "59" && len(m[1]) == 2 {
		t.Fatalf("%q", line)
	}
	if strings.Contains(strings.ReplaceAll(m[2], `\%`, ""), "%") {
		t.Errorf("to cron a %% ends the command: %q", m[2])
	}
	got, err := exec.Command(sh, "-c", strings.ReplaceAll(m[2], `\%`, "%")).Output()
	if err != nil || string(got) != strings.Join(oddWords, "\n")+"\n" {
		t.Errorf("%q, %v", got, err)
	}
	if cronLine([]string{"a"}) != cronLine([]string{"a"}) {
		t.Error("the minute is another one each time")
	}
}

func TestSystemdCommandIsTheCommand(t *testing.T) {
	t.Parallel()
	got := systemdCommand(oddWords)
	want := `plain "" "two words" "it's" "\"quoted\"" "back\\slash" "50%%" "$$HOME" "` + "`id`" + `" "a;b|c>d" "s3://b/p?endpoint=https://h&region=x" "Lists/**" "é"`
	if got != want {
		t.Errorf("%s,\nwant %s", got, want)
	}
}

func TestScheduleHasWhatTheCommandNeedsAndSaysWhatItLacks(t *testing.T) {
	t.Parallel()
	own, err := thisComputersName()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what    string
		globals Globals
		command backupCmd
		config  config
		env     map[string]string
		words   []string
		missing []string // a word of each
	}{
		{
			"all by flags", Globals{Repository: "/repo", PassphraseFile: "/p", Identity: "/i", CacheDir: "/c"},
			backupCmd{ThisComputer: true, Name: "anna@work", Exclude: []string{"Trash", "a b"}}, config{}, nil,
			append(strings.Fields("--repository /repo --identity /i --passphrase-file /p --cache-dir /c backup --this-computer --name anna@work --exclude Trash --exclude"), "a b"), nil,
		},
		{
			"by the configuration", Globals{}, backupCmd{ThisComputer: true}, config{path: "/etc/restante.toml", Repository: "repo", PassphraseCommand: "pass show x"}, nil,
			strings.Fields("--config /etc/restante.toml --repository /etc/repo backup --this-computer --name " + own), nil,
		},
		{
			"by the environment", Globals{Repository: "s3://b/p?x=y"}, backupCmd{Accounts: []string{"imaps://a@h"}}, config{},
			map[string]string{"RESTANTE_PASSPHRASE": "x", "RESTANTE_ACCOUNT_PASSWORD": "y", "AWS_ACCESS_KEY_ID": "z"},
			strings.Fields("--repository s3://b/p?x=y backup imaps://a@h"), []string{"passphrase-file", "~/.aws/credentials", "--password-file"},
		},
	} {
		a := &app{Globals: &c.globals, file: &c.config, env: func(name string) (string, bool) { v, ok := c.env[name]; return v, ok }}
		words, missing, err := c.command.unattended(a)
		if err != nil {
			t.Fatal(err)
		}
		if !filepath.IsAbs(words[0]) || words[1] != "--quiet" {
			t.Errorf("%s: %q", c.what, words)
		}
		if !slices.Equal(words[2:], c.words) {
			t.Errorf("%s: %q, want %q", c.what, words[2:], c.words)
		}
		if len(missing) != len(c.missing) {
			t.Errorf("%s: missing are %q", c.what, missing)
		}
		for i, m := range missing {
			if !strings.Contains(m, c.missing[i]) {
				t.Errorf("%s: %q does not say %q", c.what, m, c.missing[i])
			}
		}
		var out bytes.Buffer
		a.out = &out
		if err := c.command.printSchedule(a); err != nil {
			t.Fatal(err)
		}
		for _, part := range append([]string{cronLine(words) + "\n", "ExecStart=" + systemdCommand(words) + "\n", "OnCalendar=hourly\n"}, missing...) {
			if !strings.Contains(out.String(), part) {
				t.Errorf("%s: there is no %q in\n%s", c.what, part, &out)
			}
		}
	}
}

func TestComputersName(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{"laptop": "anna@laptop", "Laptop.example.org": "anna@laptop", "": "anna@computer"} {
		if got := computerName("anna", host); got != want {
			t.Errorf("%q: %s", host, got)
		}
	}
}
