package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"restante/cmd/testbed/servers"
	"restante/storage"
)

// aLetterWithAnAttachment has LF line ends, some text and 300 KB that do not
// compress.
func aLetterWithAnAttachment() string {
	noise := make([]byte, 300_000)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	var b strings.Builder
	b.WriteString("Received: from a by b; Fri, 20 Nov 2026 10:00:00 +0100\nFrom: Ann <ann@example.org>\nTo: bob@example.org\nSubject: plans\nMessage-ID: <plans@example.org>\n" +
		"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=\"b\"\n\n--b\nContent-Type: text/plain\n\n")
	for i := range 40 {
		fmt.Fprintf(&b, "This is line %d of the plans.\n", i)
	}
	b.WriteString("--b\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n")
	for text := base64.StdEncoding.EncodeToString(noise); text != ""; {
		line := text[:min(76, len(text))]
		b.WriteString(line + "\n")
		text = text[len(line):]
	}
	b.WriteString("--b--\n")
	return b.String()
}

// stored is what a repository holds: blobs by class and their octets, as
// compressed and sealed.
func stored(b *bench) (blobs, boxes map[string]int64, total int64) {
	b.t.Helper()
	var s storage.Stats
	if err := json.Unmarshal([]byte(b.do("stats", "--json")), &s); err != nil {
		b.t.Fatal(err)
	}
	blobs, boxes = map[string]int64{}, map[string]int64{}
	for _, c := range s.Classes {
		blobs[c.Class], boxes[c.Class] = c.Blobs, c.Boxes
		total += c.Boxes
	}
	return blobs, boxes, total
}

// TestOneMessageInManyPlacesIsStoredOnce: it reached a server, where its lines
// end with CRLF, the Maildir of one computer and the Thunderbird of another,
// which has put fields of its own before it, and a Sent folder there.
func TestOneMessageInManyPlacesIsStoredOnce(t *testing.T) {
	t.Parallel()
	letter := aLetterWithAnAttachment()
	s, err := startDemoServer(quietLog)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	s.addAccount("bob", servers.Password)
	s.mu.Lock()
	s.accounts["bob"].folders["INBOX"].add([]byte(strings.ReplaceAll(letter, "\n", "\r\n")), time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC), nil)
	s.mu.Unlock()

	home := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(home, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("Maildir/cur/1795000000.a.host:2,S", letter)
	status := "X-Account-Key: account1\nX-UIDL: 4711\nX-Mozilla-Status: 0001\nX-Mozilla-Status2: 00000000\nX-Mozilla-Keys: " + strings.Repeat(" ", 80) + "\n"
	write("profile/Mail/pop.example.org/Inbox", "From - Fri Nov 20 10:00:00 2026\n"+status+letter+"\n")
	write("profile/Mail/Local Folders/Sent", "From - Fri Nov 20 10:00:00 2026\n"+letter+"\n")

	b := newBench(t, "")
	b.backup("imap+insecure://bob@" + s.address)
	blobs, boxes, total := stored(b)
	if blobs["text"] != 1 || blobs["attachments"] != 1 || blobs["recipes"] != 1 || boxes["attachments"] < 300_000 {
		t.Fatalf("of one message %v are stored, with %v octets", blobs, boxes)
	}
	for _, url := range []string{"maildir:" + home + "/Maildir", "thunderbird:" + home + "/profile"} {
		// A pack is padded to 64 KiB.
		if run := b.backup(url); run.Snapshot.Messages == 0 || run.Snapshot.Stored > 64<<10 {
			t.Errorf("%s: %d messages, %d octets stored", url, run.Snapshot.Messages, run.Snapshot.Stored)
		}
	}
	after, boxesAfter, totalAfter := stored(b)
	for _, class := range []string{"text", "attachments"} {
		if after[class] != blobs[class] || boxesAfter[class] != boxes[class] {
			t.Errorf("%d %s blobs became %d", blobs[class], class, after[class])
		}
	}
	// What differs are line ends and Thunderbird's fields, which are in recipes.
	if after["recipes"] != 3 {
		t.Errorf("%d recipes, want one for CRLF, one for LF, one with Thunderbird's fields", after["recipes"])
	}
	t.Logf("in one place: %d octets, %v; in four: %d octets, %v", total, boxes, totalAfter, boxesAfter)
	if grown := totalAfter - total; grown > 4<<10 {
		t.Errorf("three copies more took %d octets, the first one %d", grown, total)
	}
	for url, want := range map[string]string{
		"imap+insecure://bob@" + s.address + " INBOX#1":            strings.ReplaceAll(letter, "\n", "\r\n"),
		"maildir:" + home + "/Maildir INBOX#1":                     letter,
		"thunderbird:" + home + "/profile pop.example.org/Inbox#1": status + letter,
		"thunderbird:" + home + "/profile Local Folders/Sent#1":    letter,
	} {
		account, message, _ := strings.Cut(url, " ")
		if got := b.do("cat", account, message); got != want {
			t.Errorf("%s came back with %d octets of %d, or others", url, len(got), len(want))
		}
	}
}
