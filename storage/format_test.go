package storage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"restante/storage/internal/seal"
	"restante/storage/ledger"
	"restante/storage/objects"
)

// example reads the code block of FORMAT.md that begins with a title: lines of
// a name, spaces and hexadecimal digits.
func example(t *testing.T, title string) map[string][]byte {
	t.Helper()
	b, err := os.ReadFile("FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(b), "```\n"+title+"\n")
	block, _, ended := strings.Cut(rest, "```")
	if !found || !ended {
		t.Fatalf("FORMAT.md has no example %q", title)
	}
	fields := map[string][]byte{}
	last := ""
	for line := range strings.Lines(block) {
		name, value := strings.TrimSpace(line[:min(14, len(line))]), strings.TrimSpace(line[min(14, len(line)):])
		if name != "" {
			last = name
		}
		raw, err := hex.DecodeString(strings.ReplaceAll(value, " ", ""))
		if err != nil {
			t.Fatalf("%s: %s: %v", title, line, err)
		}
		fields[last] = append(fields[last], raw...)
	}
	return fields
}

func TestExampleOfABoxInTheFormatOpens(t *testing.T) {
	t.Parallel()
	e := example(t, "example: a box of kind ledger")
	key := seal.Key(e["secret"])
	data, err := seal.New([16]byte(e["repository"])).Open(&key, seal.Ledger, e["context"], e["box"], -1)
	if err != nil || !bytes.Equal(data, e["data"]) {
		t.Errorf("%x, %v", data, err)
	}
	if n := binary.LittleEndian.Uint64(e["context"]); n != 7 {
		t.Errorf("the context is of entry %d", n)
	}
}

func TestExampleOfPagesInTheFormatReads(t *testing.T) {
	t.Parallel()
	e := example(t, "example: a message page and its flag page")
	list, err := parseMessagePage(e["messages"])
	if err != nil || len(list) != 2 || list[0].UID != 5 || list[1].UID != 9 || list[0].Subject != "Grüße" || list[1].Key != "k9" ||
		list[0].InternalDate.Format(time.RFC3339) != "2026-11-20T10:00:00+01:00" || !list[1].InternalDate.IsZero() {
		t.Errorf("%+v %v", list, err)
	}
	sets := new(flagSets)
	flags, err := parseFlagPage(e["flags"], sets)
	if err != nil || len(flags) != 2 || flags[1].uid != 9 || fmt.Sprint(sets.sets[flags[0].set], sets.sets[flags[1].set]) != `[\Seen $Junk] []` {
		t.Errorf("%+v %v", flags, err)
	}
}

const frozen = "testdata/format1"

// TestFormat1CanBeReadForEver opens a repository that the first version wrote.
func TestFormat1CanBeReadForEver(t *testing.T) {
	t.Parallel()
	store, err := objects.OpenDir(frozen + "/repository")
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	r, err := Open(t.Context(), store, Passphrase("format 1"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	want, err := os.ReadFile(frozen + "/contents.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got := contents(t, r); got != string(want) {
		t.Errorf("it holds\n%s\nwant\n%s", got, want)
	}
	c, err := r.Check(t.Context(), CheckOptions{ReadData: 1})
	if err != nil || len(c.Findings) > 0 || c.Indexes == 0 || c.PacksRead < 9 {
		t.Errorf("%v %+v", err, c)
	}
}

// contents writes down all that a repository says of its mail.
func contents(t *testing.T, r *Repository) string {
	t.Helper()
	var b strings.Builder
	slots, _ := r.Keys()
	for _, k := range slots {
		fmt.Fprintf(&b, "key %s %q\n", k.How, k.Label)
	}
	for _, account := range r.Accounts() {
		for _, s := range r.Snapshots(account) {
			fmt.Fprintf(&b, "snapshot %s %s %d %d %d %s %q\n", s.ID.Short(), account, s.Started, s.Messages, s.Bytes, s.Marks, s.Notes)
			tree, err := r.OpenSnapshot(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range tree.Folders {
				fmt.Fprintf(&b, " folder %q %x %s %q %q %v %d %d %d %d %v\n", f.Levels, f.Raw, f.Delimiter, f.Attributes, f.SpecialUse, f.Subscribed, f.UIDValidity, f.UIDNext, f.HighestModSeq, f.Counted, f.Missing)
				for m, err := range f.All(t.Context()) {
					if err != nil {
						t.Fatal(err)
					}
					h := sha256.New()
					if err := r.WriteMessage(t.Context(), h, s.Vault, m.Recipe); err != nil {
						t.Fatal(err)
					}
					fmt.Fprintf(&b, "  %d %x %d %s %s %q %q %q %q %x %q\n", m.UID, h.Sum(nil)[:8], m.Size, m.InternalDate.Format(time.RFC3339), m.Date.Format(time.RFC3339), m.From, m.To, m.Subject, m.Key, m.MessageID, m.Flags)
				}
			}
		}
	}
	return b.String()
}

// TestFreezeFormat1 made testdata/format1. It writes a like one into the
// directory RESTANTE_FREEZE; the one that is there stays as it is for ever.
func TestFreezeFormat1(t *testing.T) {
	dir := os.Getenv("RESTANTE_FREEZE")
	if dir == "" {
		t.Skip("RESTANTE_FREEZE is not set")
	}
	store, err := objects.CreateDir(filepath.Join(dir, "repository"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Init(t.Context(), store, Lock{Passphrase: "format 1", Label: "the first", WorkFactor: 10}, Options{Writer: "restante format 1"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := r.AddKey(t.Context(), Lock{Recipient: "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p", Label: "a recipient"}); err != nil {
		t.Fatal(err)
	}
	removed, err := r.AddKey(t.Context(), Lock{Passphrase: "removed", WorkFactor: 10})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.RemoveKey(t.Context(), removed.ID.String()); err != nil {
		t.Fatal(err)
	}
	attachment := strings.Repeat("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0NTY3\r\n", 30)
	mails := []string{
		"From: Ann <ann@example.org>\r\nSubject: plain\r\nMessage-ID: <1@example.org>\r\nDate: Fri, 20 Nov 2026 10:00:00 +0100\r\n\r\n" + strings.Repeat("some text in lines\r\n", 40),
		"Subject: LF only\n\n" + strings.Repeat("some text in lines\n", 40),
		"Subject: mixed\r\n\r\n" + strings.Repeat("one\nother\r\n", 60),
		"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\n" + attachment + "QUI=\r\n--b--\r\n",
		"", "no header", "Subject: odd\r\n\r\n\x00\xff\r", strings.Repeat("x", 70_000),
	}
	var parent *Folder
	var forget ID
	for i := range 11 {
		vaultID, err := r.VaultID(DefaultVault)
		if err != nil {
			t.Fatal(err)
		}
		w, err := r.Writer(t.Context(), vaultID)
		if err != nil {
			t.Fatal(err)
		}
		s := Snapshot{ID: NewID(), Account: "alice", Started: 1_700_000_000 + int64(i), Finished: 1_700_000_100 + int64(i), Host: "host", Notes: []string{"a note"}}
		if i == 3 {
			s.Marks = Incomplete | Anomalous
		}
		d := w.Draft(parent)
		d.Describe(func(f *Folder) {
			f.Levels, f.Delimiter, f.SpecialUse, f.Subscribed = []string{"INBOX", "a/b"}, ".", []string{`\Sent`}, true
			f.UIDValidity, f.UIDNext, f.HighestModSeq, f.Counted = 7, uint32(10*i+10), uint64(i), 3
			f.Missing = []Missing{{UID: 99, Tries: 2, Reason: "NO"}}
		})
		var list []Message
		for k, mail := range mails {
			if i == 0 || k == i%len(mails) {
				saved, err := w.SaveMessage(strings.NewReader(mail), int64(len(mail)))
				if err != nil {
					t.Fatal(err)
				}
				m := Message{UID: uint32(10*i + k + 1), Size: int64(len(mail)), Recipe: saved.Recipe, Subject: "S", From: "F", To: "T", Flags: []string{`\Seen`, "$Junk"}[:k%3%2+k%2]}
				if k%2 == 0 {
					m.InternalDate, m.Date, m.MessageID = time.Unix(1_700_000_000, 0).In(time.FixedZone("", -3*3600)), time.Unix(1_600_000_000, 0).UTC(), HashMessageID("<1@example.org>")
				} else {
					m.Key = "key"
				}
				list = append(list, m)
			}
		}
		if err := d.Add(list); err != nil {
			t.Fatal(err)
		}
		if i == 5 {
			d.Remove([]uint32{1, 2})
			d.SetFlags(3, []string{`\Flagged`})
		}
		f, err := d.Save(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		empty := w.Draft(nil)
		empty.Describe(func(f *Folder) {
			f.Levels, f.Raw, f.Attributes = []string{"caf%E9"}, []byte("caf\xe9"), []string{`\Noselect`}
		})
		e, err := empty.Save(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := w.SaveTree("imap", []SavedFolder{e, f}, &s); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(t.Context(), []Snapshot{s}, nil, nil); err != nil {
			t.Fatal(err)
		}
		w.Close()
		tree, err := r.OpenSnapshot(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		parent = tree.Folders[1]
		if i == 1 {
			forget = s.ID
		}
	}
	if err := r.Forget(t.Context(), []ID{forget}, "frozen"); err != nil {
		t.Fatal(err)
	}
	for _, b := range []ledger.Body{&ledger.Hold{ID: ID{1}, Account: "alice", Reason: "a hold"}, &ledger.Release{ID: ID{1}},
		&ledger.Condemn{Condemned: []ledger.Condemned{{Pack: newName()}}}} {
		if err := r.ledger.Append(context.Background(), func(*ledger.State) (ledger.Body, error) { return b, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "contents.txt"), []byte(contents(t, r)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestPrintExamples prints what FORMAT.md shows.
func TestPrintExamples(t *testing.T) {
	if os.Getenv("RESTANTE_EXAMPLES") == "" {
		t.Skip("RESTANTE_EXAMPLES is not set")
	}
	print := func(title string, fields map[string][]byte) {
		fmt.Println("```\n" + title)
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			label := name
			for part := range slices.Chunk(fields[name], 32) {
				fmt.Printf("%-14s%x\n", label, part)
				label = ""
			}
		}
		fmt.Println("```")
	}
	key, repository := make([]byte, 32), make([]byte, 16)
	for i := range key {
		key[i] = byte(i)
	}
	for i := range repository {
		repository[i] = byte(0x11 * i)
	}
	k := seal.Key(key)
	data := []byte("what entry 7 says, what entry 7 says, what entry 7 says")
	box, err := seal.New([16]byte(repository)).Seal(nil, &k, seal.Ledger, number(7), data, seal.Options{Compress: seal.Fast, Pad: 64})
	if err != nil {
		t.Fatal(err)
	}
	print("example: a box of kind ledger", map[string][]byte{"secret": key, "repository": repository, "context": number(7), "data": data, "box": box})
	sets := new(flagSets)
	print("example: a message page and its flag page", map[string][]byte{
		"messages": appendMessagePage(nil, []Message{
			{UID: 5, InternalDate: time.Date(2026, 11, 20, 10, 0, 0, 0, time.FixedZone("", 3600)), Size: 1234, Date: time.Date(2026, 11, 20, 8, 59, 50, 0, time.UTC),
				From: "Ann <ann@example.org>", To: "Bob", Subject: "Grüße", MessageID: HashMessageID("<1@example.org>"), Recipe: BlobID(repository)},
			{UID: 9, Size: 7, Key: "k9"},
		}),
		"flags": appendFlagPage(nil, []flagItem{{5, sets.number([]string{`\Seen`, "$Junk"})}, {9, sets.number(nil)}}, sets),
	})
}
