package powercut

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"restante/backup/accounts/smtpconn/smtptest"
)

// TestEveryFileOperationOfARestoreToIMAP: however a restore ends, and whatever is
// left of its journal, each message is there once in the end.
func TestEveryFileOperationOfARestoreToIMAP(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.kept(2)
	server := newIMAPServer(t)
	var want []string
	s.everyPoint(work{
		args:  [][]string{{"restore", s.name, "--to", "imap+insecure://alice@" + server.address}},
		begin: server.begin,
		ended: server.ended,
		done: func() error {
			got := server.messages()
			if want == nil {
				want = got
			}
			if !slices.Equal(got, want) {
				return fmt.Errorf("there are the messages\n%.100q\nwant\n%.100q", got, want)
			}
			return nil
		},
	})
	if len(want) != 12 {
		t.Errorf("there are %d messages", len(want))
	}
}

// TestEveryFileOperationOfADelivery: no message is delivered twice, and of one
// that is not delivered, the next run says that it does not know.
func TestEveryFileOperationOfADelivery(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.receive(4, 1)
	s.must(s.run("init", "--recipient", s.identity.Recipient().String(), "--no-probe"))
	s.must(s.run("backup", s.name))
	server := &smtptest.Server{LMTP: true}
	args := []string{"restore", s.name, "--to", "lmtp+insecure://" + smtptest.Start(t, server), "--deliver-to", "alice@example.org"}
	before, unknown := 0, 0
	s.everyPoint(work{
		args:  [][]string{args},
		begin: func() { before, unknown = len(server.Got()), 0 },
		ended: server.Settle,
		again: func(err error) bool {
			unknown = strings.Count(err.Error(), "unknown: an earlier restore sent it")
			return unknown > 0 && strings.Contains(err.Error(), "exit status 3")
		},
		done: func() error {
			times := map[string]int{}
			for _, m := range server.Got()[before:] {
				if times[m.Octets]++; times[m.Octets] > 1 {
					return fmt.Errorf("it is delivered twice: %q", m.Octets)
				}
			}
			if len(times)+unknown < 5 {
				return fmt.Errorf("%d of 5 messages are delivered, and %d unknown", len(times), unknown)
			}
			return nil
		},
	})
}

// TestEveryFileOperationOfARestoreToThunderbird: what the profile had stays, and a
// folder that is shown is whole.
func TestEveryFileOperationOfARestoreToThunderbird(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.kept(2)
	const local = "Mail/Local Folders"
	own := map[string]string{
		"prefs.js": `user_pref("mail.server.server2.directory-rel", "[ProfD]` + local + `");
user_pref("mail.server.server2.hostname", "Local Folders");
user_pref("mail.server.server2.storeContractID", "@mozilla.org/msgstore/berkeleystore;1");
user_pref("mail.server.server2.type", "none");
`,
		local + "/Sent": "From - Fri Nov 20 10:03:00 2026\nSubject: mine\n\nmine\n\n",
	}
	s.must(os.MkdirAll(s.path("root/profile/"+local), 0o700))
	for name, text := range own {
		s.must(os.WriteFile(s.path("root/profile/"+name), []byte(text), 0o600))
	}
	want := ""
	shown := func() (whole int, err error) {
		there := s.tree(s.path("root/profile"))
		folders := map[string]map[string]string{}
		for name, text := range there {
			below, isLocal := strings.CutPrefix(name, local+"/")
			folder, file, isFolder := strings.Cut(below, ".sbd/")
			switch {
			case own[name] != "":
				if text != own[name] {
					err = errors.Join(err, fmt.Errorf("of %s is left %q", name, text))
				}
			case isLocal && strings.HasPrefix(below, "."): // Thunderbird passes over it
			case isLocal && isFolder:
				if folders[folder] == nil {
					folders[folder] = map[string]string{}
				}
				folders[folder][file] = text
			case !isLocal || text != "" || !strings.HasPrefix(below, "Restored"):
				err = errors.Join(err, fmt.Errorf("there is %s: %q", name, text))
			}
		}
		for name, files := range folders {
			got := exported("mbox", files)
			if want == "" {
				want = got
			}
			if _, isFolder := there[filepath.Join(local, name)]; got != want || !isFolder {
				return 0, fmt.Errorf("%s, which is a folder: %v: %w", name, isFolder, onlyInOne(got, want))
			}
			whole++
		}
		return whole, err
	}
	s.everyPoint(work{
		args: [][]string{{"restore", s.name, "--to", "thunderbird:" + s.path("root/profile")}},
		done: func() error {
			n, err := shown()
			if err == nil && n == 0 {
				err = errors.New("nothing is shown of what was restored")
			}
			return err
		},
		always: func(*Result) error {
			_, err := shown()
			return err
		},
	})
}

// TestEveryFileOperationOfARehearsal: no mail is left lying about by a rehearsal
// that was interrupted, once there was another one.
func TestEveryFileOperationOfARehearsal(t *testing.T) {
	t.Parallel()
	onlyLong(t)
	s := newScene(t)
	s.receive(3, 1)
	s.must(s.run("init", "--recipient", s.identity.Recipient().String(), "--no-probe"))
	s.must(s.run("backup", s.name))
	s.everyPoint(work{
		args:  [][]string{{"rehearse", s.name, "--temp-dir", s.path("root/tmp")}},
		below: "tmp",
		done: func() error {
			if left := s.tree(s.path("root/tmp")); len(left) > 0 {
				return fmt.Errorf("there is left %q", left)
			}
			return nil
		},
	})
}
