package scale

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"restante/cmd/testbed/site"
)

var sent = time.Date(2024, 1, 1, 8, 0, 0, 0, time.UTC)

// letter is the n-th of many messages: some 600 octets, like no other.
func letter(n int) []byte {
	random := rand.New(rand.NewPCG(uint64(n), 1))
	var b strings.Builder
	fmt.Fprintf(&b, "From: Sender %d <s%d@example.org>\r\nTo: Receiver <receiver@example.com>\r\nSubject: message number %d\r\nDate: %s\r\nMessage-ID: <%d.%016x@example.org>\r\n\r\n",
		n%1000, n%1000, n, sent.Add(time.Duration(n)*time.Minute).Format(time.RFC1123Z), n, random.Uint64())
	words := []string{"the", "order", "with", "number", "was", "sent", "today", "and", "will", "arrive", "before", "Friday", "please", "answer", "if", "it", "does", "not"}
	for range 5 + random.IntN(5) {
		for range 8 {
			b.WriteString(words[random.IntN(len(words))] + " ")
		}
		fmt.Fprintf(&b, "%d\r\n", random.Uint32())
	}
	return []byte(b.String())
}

// at is when it came.
func at(n int) time.Time { return sent.Add(time.Duration(n) * time.Minute) }

// folder opens a folder of the account in the mail server's directory; the
// server must not look meanwhile.
func (t *trial) folder(name string) (*site.Maildir, error) {
	dir := filepath.Join(t.site.Mail, t.user, "Maildir")
	if name != "INBOX" {
		dir = filepath.Join(dir, name)
	}
	return site.OpenMaildir(t.site.Mail, dir)
}

// fill puts messages into folders, as many into each: the n-th message is n.
func (t *trial) fill(ctx context.Context, folders []string, messages int) error {
	t.site.Say("%s: writing %d messages", t.name, messages)
	const writers = 4
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for f := w; f < len(folders) && errs[w] == nil; f += writers {
				errs[w] = t.fillFolder(ctx, folders[f], f*messages/len(folders), (f+1)*messages/len(folders))
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("writing mail: %w", err)
		}
	}
	return nil
}

func (t *trial) fillFolder(ctx context.Context, name string, from, to int) error {
	m, err := t.folder(name)
	if err != nil {
		return err
	}
	for n := from; n < to; n++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var flags []string
		if n%5 != 0 {
			flags = append(flags, `\Seen`)
		}
		if err := m.Write(letter(n), flags, at(n)); err != nil {
			return err
		}
	}
	return nil
}

// writeLarge writes a message of so many octets: a file in base64 that nothing
// can compress, but for that it is base64.
func writeLarge(to io.Writer, octets int64) error {
	w := bufio.NewWriterSize(to, 1<<20)
	const line = 76 + 2
	head := "From: Sender <s@example.org>\r\nTo: Receiver <receiver@example.com>\r\nSubject: a large one\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: application/octet-stream; name=large.bin\r\nContent-Transfer-Encoding: base64\r\nX-Filler: "
	lines := (octets - int64(len(head)) - 4) / line
	filler := octets - int64(len(head)) - 4 - lines*line
	fmt.Fprintf(w, "%s%s\r\n\r\n", head, strings.Repeat("x", int(filler)))
	random := rand.NewChaCha8([32]byte{1})
	var raw [76 / 4 * 3]byte
	var text [line]byte
	copy(text[76:], "\r\n")
	for range lines {
		random.Read(raw[:])
		base64.StdEncoding.Encode(text[:76], raw[:])
		w.Write(text[:])
	}
	return w.Flush()
}
