package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-imap/v2"
)

// quietLog is a log that nobody reads.
var quietLog = newLog(io.Discard, slog.LevelError)

// Whatever the surroundings, the demo uses nothing of them and leaves nothing
// behind.
func TestDemoProvesEverythingAndLeavesNothing(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	t.Setenv("HOME", filepath.Join(temporary, "no-such-home"))
	for _, name := range []string{"RESTANTE_CONFIG", "RESTANTE_REPOSITORY", "RESTANTE_IDENTITY", "RESTANTE_CACHE_DIR", "RESTANTE_PASSPHRASE", "RESTANTE_ACCOUNT_PASSWORD"} {
		t.Setenv(name, "/no/such/thing")
	}
	var out, errOut bytes.Buffer
	if code := run([]string{"demo"}, strings.NewReader(""), &out, &errOut); code != exitDone || errOut.Len() > 0 {
		t.Fatalf("exit code %d\n%s\n%s", code, out.String(), errOut.String())
	}
	for _, line := range []string{
		"$ restante init", "made repository", "$ restante backup anna", "235 messages in 16 folders", "235 new (",
		"proved: the backup has changed nothing: 235 messages in 16 folders",
		"13 new (", `the folder "Clients/Observatory" is now called "Archive/Observatory"`, `the folder "Clients/Museum" is gone, with 67 messages`,
		"The server had to give out 14 messages", "13 new, 77 gone, 19 moved, 9 with other flags", "77 messages vanished since",
		"Clients/Museum: 67 messages appended, 0 there already, new folder", "\n  0 messages restored to",
		"proved: the account is again what it was just before the deletion: 248\n      messages in 16 folders",
		"proved: the spare account is what Anna's was at the first backup: 235\n", "no errors were found",
		"All of it was proved", "restante backup imaps://", "s3://", "go run ./cmd/testbed",
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("it does not say %q", line)
		}
	}
	for line := range strings.Lines(out.String()) {
		if n := utf8.RuneCountInString(line); n > 84 { // the URL of a bucket is long
			t.Errorf("%d columns: %s", n, line)
		}
		if line != "\n" && strings.TrimRight(line, " \n")+"\n" != line {
			t.Errorf("spaces at the end: %q", line)
		}
	}
	if t.Failed() {
		t.Logf("%s", out.String())
	}
	if left, _ := filepath.Glob(filepath.Join(temporary, "*")); len(left) > 0 {
		t.Errorf("it left %q", left)
	}
}

func TestDemoTellsProgramsTheSame(t *testing.T) {
	t.Parallel()
	var out, errOut bytes.Buffer
	if code := run([]string{"demo", "--json"}, strings.NewReader(""), &out, &errOut); code != exitDone || errOut.Len() > 0 {
		t.Fatalf("exit code %d\n%s\n%s", code, out.String(), errOut.String())
	}
	var j demoJSON
	if err := json.Unmarshal(out.Bytes(), &j); err != nil {
		t.Fatal(err)
	}
	if !j.Proved || len(j.Proofs) != 3 || len(j.Commands) != 10 || j.Commands[2].Read != 14 || j.Commands[2].Requests > 10 || j.Commands[0].Result == nil {
		t.Errorf("%s", out.String())
	}
}

func TestDemoKeepsARepositoryThatCanBeLookedAt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kept")
	exec := func(want int, args ...string) string {
		var out, errOut bytes.Buffer
		if code := run(args, strings.NewReader(""), &out, &errOut); code != want {
			t.Fatalf("%q: exit code %d\n%s\n%s", args, code, out.String(), errOut.String())
		}
		return out.String() + errOut.String()
	}
	t.Setenv("RESTANTE_PASSPHRASE", "of another repository")
	exec(exitDone, "demo", "--keep", dir)
	t.Setenv("RESTANTE_PASSPHRASE", "")
	look := []string{"--config", filepath.Join(dir, "restante.toml"), "--cache-dir", t.TempDir()}
	if out := exec(exitDone, append([]string{"ls", "anna", "--json"}, look...)...); !strings.Contains(out, "Rechnungen/März") {
		t.Errorf("%s", out)
	}
	if out := exec(exitUsage, "demo", "--keep", dir); !strings.Contains(out, "not empty") {
		t.Errorf("%s", out)
	}
}

// demoWith runs the demo with a server that somebody meddles with.
func demoWith(t *testing.T, ctx context.Context, meddle func(after string, s *demoServer)) (code int, out string) {
	t.Helper()
	var b bytes.Buffer
	a := &app{Globals: &Globals{}, in: strings.NewReader(""), out: &b, err: &b, screen: &screen{w: &b}, log: quietLog, env: lookupEnv}
	return a.report((&demoCmd{meddle: meddle}).Run(ctx, a)), b.String()
}

func TestDemoSaysSoWhenTheServerHasSomethingElse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, after, account string
		meddle               func(*demoAccount)
		want                 string
	}{
		{"a message is altered after the first backup", "first backup", "anna", func(a *demoAccount) {
			a.folders["INBOX"].messages[3].octets = []byte("Subject: something else\r\n\r\n")
		}, "missing or has other octets"},
		{"a message is lost after the restore", "undelete", "anna", func(a *demoAccount) {
			f := a.folders["Clients/Museum"]
			f.remove(func(m *demoMessage) bool { return m == f.messages[40] })
		}, "missing or has other octets"},
		{"an octet is lost in the other account", "restore", "spare", func(a *demoAccount) {
			m := a.folders["Rechnungen/März"].messages[3]
			m.octets = append(bytes.Clone(m.octets[:100]), m.octets[101:]...)
		}, "missing or has other octets"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			code, out := demoWith(t, t.Context(), func(after string, s *demoServer) {
				if after == c.after {
					s.mu.Lock()
					defer s.mu.Unlock()
					c.meddle(s.accounts[c.account])
				}
			})
			if code != exitFailed || !strings.Contains(out, "THE PROOF FAILED") || !strings.Contains(out, c.want) ||
				!strings.Contains(out, "restante: the proof failed") || strings.Contains(out, "All of it was proved") {
				t.Errorf("exit code %d\n%s", code, out)
			}
		})
	}
}

// What the server loses by itself after a backup is brought back like all else.
func TestDemoBringsBackWhatTheServerLost(t *testing.T) {
	t.Parallel()
	code, out := demoWith(t, t.Context(), func(after string, s *demoServer) {
		if after == "first backup" {
			s.mu.Lock()
			defer s.mu.Unlock()
			f := s.accounts["anna"].folders["Archive/2025"]
			f.remove(func(m *demoMessage) bool { return m == f.messages[7] })
		}
	})
	if code != exitDone || !strings.Contains(out, "78 messages vanished") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}

func TestDemoEndsSoonWhenInterrupted(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"first backup", "undelete", "restore"} {
		ctx, cancel := context.WithCancel(t.Context())
		code, out := demoWith(t, ctx, func(after string, _ *demoServer) {
			if after == at {
				cancel()
			}
		})
		if code != exitFailed || !strings.Contains(out, "restante: interrupted") || strings.Contains(out, "All of it was proved") {
			t.Errorf("after %s: exit code %d\n%s", at, code, out)
		}
		cancel()
	}
}

// Each thing that a restored account can lack is found, and named.
func TestWitnessFindsEveryDifference(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		meddle func(*demoAccount)
		want   []string
	}{
		{"nothing", func(*demoAccount) {}, nil},
		{"other UIDs and another order", func(a *demoAccount) {
			f := a.folders["INBOX"]
			slices.Reverse(f.messages)
			f.messages[0].uid = 99
		}, nil},
		{"a flag less", func(a *demoAccount) { a.folders["INBOX"].messages[0].clear([]imap.Flag{imap.FlagSeen}) },
			[]string{`has the flags "", and had "\\Seen"`}},
		{"a keyword in other letters", func(a *demoAccount) { a.folders["INBOX"].messages[1].flags[0] = "key" },
			[]string{`has the flags "\\Flagged key", and had "Key \\Flagged"`}},
		{"the same instant in another zone", func(a *demoAccount) {
			m := a.folders["INBOX"].messages[0]
			m.date = m.date.UTC()
		}, []string{"has the internal date 2026-01-01 11:00:00 +0000, and had 2026-01-01 12:00:00 +0100"}},
		{"one of two equal messages", func(a *demoAccount) {
			f := a.folders["Sent"]
			f.remove(func(m *demoMessage) bool { return m == f.messages[0] })
		}, []string{"missing or has other octets"}},
		{"a message twice", func(a *demoAccount) {
			f := a.folders["INBOX"]
			f.add(f.messages[0].octets, f.messages[0].date, f.messages[0].flags)
		}, []string{"is there, and was not"}},
		{"an octet", func(a *demoAccount) { a.folders["INBOX"].messages[0].octets = []byte("Subject: 0\n\r\n") },
			[]string{"missing or has other octets", "is there, and was not"}},
		{"a message in another folder", func(a *demoAccount) {
			m := a.folders["INBOX"].messages[0]
			a.folders["INBOX"].remove(func(o *demoMessage) bool { return m == o })
			a.folders["Sent"].add(m.octets, m.date, m.flags)
		}, []string{`"INBOX"`, `"Sent"`}},
		{"a subscription", func(a *demoAccount) { delete(a.subscribed, "Sent") }, []string{`folder "Sent": subscribed`}},
		{"a special use", func(a *demoAccount) { a.folders["Sent"].uses = nil }, []string{`folder "Sent" has the special use ""`}},
		{"a folder", func(a *demoAccount) { delete(a.folders, "Empty") }, []string{`folder "Empty" is missing`}},
		{"a folder too many", func(a *demoAccount) { a.folders["More"] = &demoFolder{name: "More"} }, []string{`folder "More" is there`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &demoServer{accounts: map[string]*demoAccount{}}
			s.addAccount("ann", "")
			a := s.accounts["ann"]
			s.addFolder(a, "Sent", imap.MailboxAttrSent)
			s.addFolder(a, "Empty")
			a.subscribed["Sent"] = true
			at := time.Date(2026, 1, 1, 12, 0, 0, 0, time.FixedZone("", 3600))
			var list []demoMail
			for i, flags := range [][]string{{`\Seen`}, {"Key", `\Flagged`}, nil} {
				list = append(list, demoMail{"INBOX", at.AddDate(0, 0, i), flags, fmt.Appendf(nil, "Subject: %d\r\n\r\n", i)})
			}
			twice := demoMail{"Sent", at, nil, []byte("twice")}
			s.deliver("ann", append(list, twice, twice))
			before := s.witness("ann")
			c.meddle(a)
			got := before.differences(s.witness("ann"))
			if len(got) != len(c.want) {
				t.Fatalf("got %q, want %q", got, c.want)
			}
			for i := range got {
				if !strings.Contains(got[i], c.want[i]) {
					t.Errorf("got %q, want %q", got[i], c.want[i])
				}
			}
		})
	}
}

func TestLinesAreMadeToFit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line  string
		width int
		want  []string
	}{
		{"", 10, []string{""}},
		{"  short", 10, []string{"  short"}},
		{"a sentence goes on", 11, []string{"a sentence", "    goes on"}},
		{"  one two three four", 12, []string{"  one two", "      three", "      four"}},
		{"cell  cell  last words", 14, []string{"cell  cell", "    last words"}},
		{"nothingtobreakhere", 10, []string{"nothingto…"}},
		{"田中田中田中", 9, []string{"田中田…"}},
		{"a \xff\xfe b", 6, []string{"a \xff\xfe b"}},
	} {
		if got := fitLine(c.line, c.width, "    "); !slices.Equal(got, c.want) {
			t.Errorf("%q in %d columns: %q, want %q", c.line, c.width, got, c.want)
		}
	}
}

func TestDemoNeedsAPlaceForItsFiles(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "no-such-place"))
	var out, errOut bytes.Buffer
	if code := run([]string{"demo"}, strings.NewReader(""), &out, &errOut); code != exitFailed || !strings.Contains(errOut.String(), "TMPDIR") {
		t.Errorf("exit code %d\n%s%s", code, out.String(), errOut.String())
	}
	if _, err := os.Stat(os.Getenv("TMPDIR")); err == nil {
		t.Error("it made the place")
	}
}
