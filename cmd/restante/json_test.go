package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// shapeOf collects the names of all values of a document, with [] for the
// elements of arrays.
func shapeOf(at string, v any, names map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			shapeOf(strings.TrimPrefix(at+"."+key, "."), value, names)
		}
	case []any:
		for _, element := range v {
			shapeOf(at+"[]", element, names)
		}
	default:
		names[at] = true
	}
}

// Scripts rely on these names: some may be added, none goes.
func TestShapesOfJSON(t *testing.T) {
	const (
		snapshot = "%[1]sid %[1]saccount %[1]sstarted %[1]sfinished %[1]sfolders %[1]smessages %[1]sbytes %[1]spartial %[1]sincomplete %[1]sanomalous %[1]sdrained %[1]snew %[1]sgone %[1]sflagged %[1]smissing %[1]slisted %[1]sunproven %[1]sstored_bytes %[1]shost"
		message  = " %[1]sreference %[1]sfolder %[1]suid %[1]sfrom %[1]sto %[1]ssubject %[1]sdate %[1]sinternal_date %[1]sbytes %[1]sflags[]"
	)
	b := newBench(t, "")
	mail := filepath.Join(t.TempDir(), "mail")
	put := func(folder, name, subject string) {
		for _, sub := range []string{"cur", "new", "tmp"} {
			if err := os.MkdirAll(filepath.Join(mail, folder, sub), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		octets := fmt.Sprintf("From: ann@example.org\r\nTo: bob@example.org\r\nSubject: %s\r\nDate: Fri, 20 Nov 2026 10:00:00 +0100\r\n\r\nbody\r\n", subject)
		if err := os.WriteFile(filepath.Join(mail, folder, "cur", name), []byte(octets), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	account := "maildir:" + mail
	put("", "1.a.x:2,S", "one")
	put("", "2.b.x:2,S", "two")
	put("", "3.c.x:2,S", "three")
	put("", "4.d.x:2,S", "four")
	b.do("backup", account, "--name", "ann")
	first := b.snapshots("ann")[0].ID
	put(".New", "5.e.x:2,F", "five")
	for _, change := range [][2]string{{"1.a.x:2,S", ".New/cur/1.a.x:2,S"}, {"2.b.x:2,S", "cur/2.b.x:2,SF"}} {
		if err := os.Rename(filepath.Join(mail, "cur", change[0]), filepath.Join(mail, change[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(filepath.Join(mail, "cur", "3.c.x:2,S")); err != nil {
		t.Fatal(err)
	}

	for _, c := range []struct{ command, want string }{
		{"backup " + account + " --name ann", "[].account " + fmt.Sprintf(snapshot, "[].snapshot.") + " [].snapshot.parent [].seconds [].store_requests [].store_bytes_sent [].store_bytes_fetched"},
		{"snapshots", fmt.Sprintf(snapshot, "[].") + " [].parent"},
		{"ls ann", fmt.Sprintf(snapshot, "snapshot.") + " snapshot.parent folders[].name folders[].messages folders[].bytes folders[].subscribed folders[].uidvalidity folders[].uidnext folders[].highestmodseq"},
		{"ls ann INBOX", fmt.Sprintf(message, "[].")},
		{"vanished ann", fmt.Sprintf(message, "[].") + " [].origin [].last_seen [].snapshot"},
		{"restore ann --vanished --since latest --to maildir:" + t.TempDir() + "/out", "target dry_run"},
		{"diff ann --from latest", fmt.Sprintf(snapshot, "from.") + " from.parent " + fmt.Sprintf(snapshot, "to.") + " to.parent"},
		{"diff ann --from " + first, fmt.Sprintf(snapshot, "from.") + " " + fmt.Sprintf(snapshot, "to.") + " to.parent folders_added[] " +
			fmt.Sprintf(message, "added[].") + fmt.Sprintf(message, "removed[].") + fmt.Sprintf(message, "moved[].") + " moved[].moved_to" +
			fmt.Sprintf(message, "flagged[].") + " flagged[].flags_before[]"},
		{"restore ann --to maildir:" + t.TempDir() + "/out", "target dry_run folders[].folder folders[].place folders[].create folders[].selected folders[].present folders[].missing folders[].bytes folders[].appended"},
		{"check", "ledger_entries packs pack_bytes indexes snapshots messages packs_read bytes_read unneeded_packs"},
		{"probe --quick", "location folder left checks[].name checks[].promise checks[].result"},
		{"stats", "accounts[].account accounts[].snapshots accounts[].first accounts[].latest accounts[].messages accounts[].bytes " +
			"content[].class content[].blobs content[].raw_bytes content[].compressed_bytes objects[].kind objects[].number objects[].bytes total.kind total.number total.bytes latest_bytes"},
		{"key list", "[].id [].how [].recipient [].added [].in_use"},
		{"version", "version go platform repository_format"},
	} {
		words := strings.Fields(c.command)
		var v any
		out := b.do(words[0], append(words[1:], "--json")...)
		if err := json.Unmarshal([]byte(out), &v); err != nil {
			t.Errorf("%s: %v in %s", c.command, err, out)
			continue
		}
		got := map[string]bool{}
		shapeOf("", v, got)
		if strings.Contains(out, "null") {
			t.Errorf("%s: something is null in %s", c.command, out)
		}
		for _, name := range strings.Fields(c.want) {
			if !got[name] {
				t.Errorf("%s: there is no %s", c.command, name)
			}
		}
		for name := range got {
			if !slices.Contains(strings.Fields(c.want), name) {
				t.Errorf("%s: what is %s?", c.command, name)
			}
		}
	}
}

// snapshots lists the snapshots of an account.
func (b *bench) snapshots(account string) (list []snapshotJSON) {
	b.t.Helper()
	if err := json.Unmarshal([]byte(b.do("snapshots", account, "--json")), &list); err != nil {
		b.t.Fatal(err)
	}
	return list
}
