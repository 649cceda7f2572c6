package imapconn

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// The tests in this file use a real server, which the testbed starts:
//
//	go run ./cmd/testbed go test ./backup/accounts/...

// realServer returns options for the address in an environment variable.
func realServer(t testing.TB, variable string) Options {
	t.Helper()
	address := os.Getenv(variable)
	if address == "" {
		t.Skipf("%s is not set; run the tests under the testbed to have a mail server", variable)
	}
	o := Options{Address: address, User: newUser(t), Password: "testbed"}
	pem, err := os.ReadFile(os.Getenv("TESTBED_CA"))
	if err != nil {
		t.Fatal(err)
	}
	o.TLS = trust(t, pem)
	return o
}

// newUser is one that nobody has used; each has an empty mailbox.
func newUser(t testing.TB) string {
	b := make([]byte, 8)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return "imapconn-" + hex.EncodeToString(b)
}

func dialReal(t testing.TB, o Options) *Conn {
	t.Helper()
	c, err := Dial(background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestRealServerConnects(t *testing.T) {
	t.Parallel()
	o := realServer(t, "TESTBED_IMAP")
	o.ClientName, o.ClientVersion = "Restante", "test"
	for _, security := range []Security{StartTLS, Insecure} {
		for _, m := range []Mechanism{AnyPassword, Plain, Login} {
			o.Security, o.Mechanism = security, m
			c := dialReal(t, o)
			alive(t, c)
			if c.ServerID()["name"] != "Dovecot" {
				t.Errorf("the server is %v", c.ServerID())
			}
			if err := c.Logout(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	o.Security, o.Password = StartTLS, "wrong"
	if _, err := Dial(t.Context(), o); !errors.Is(err, ErrLogin) {
		t.Errorf("wrong password: %v", err)
	}
	o = realServer(t, "TESTBED_IMAPS")
	alive(t, dialReal(t, o))
	o.TLS = nil
	if _, err := Dial(t.Context(), o); !errors.Is(err, ErrTLS) {
		t.Errorf("unknown authority: %v", err)
	}
	for _, variable := range []string{"TESTBED_IMAPS_BADCERT", "TESTBED_IMAPS_EXPIRED", "TESTBED_IMAPS_WRONGNAME"} {
		if os.Getenv(variable) == "" {
			continue
		}
		if _, err := Dial(t.Context(), realServer(t, variable)); !errors.Is(err, ErrTLS) {
			t.Errorf("%s: %v", variable, err)
		}
	}
}

// A master user opens anybody's mailbox: by PLAIN's authorization identity, or
// by a user name of both.
func TestRealServerTakesAMasterUser(t *testing.T) {
	t.Parallel()
	o := realServer(t, "TESTBED_IMAPS")
	fill(t, dialReal(t, o), "INBOX", 1, func(int) int { return 300 })
	alice := o.User
	for _, login := range []struct {
		user, actAs string
		mechanisms  []Mechanism
	}{
		{"admin", alice, []Mechanism{AnyPassword, Plain}},
		{alice + "*admin", "", []Mechanism{AnyPassword, Plain, Login}},
	} {
		for _, m := range login.mechanisms {
			o.User, o.ActAs, o.Password, o.Mechanism = login.user, login.actAs, "master", m
			c := dialReal(t, o)
			box, err := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait()
			if err != nil || box.NumMessages != 1 {
				t.Errorf("%s for %q by %q: %+v, %v", login.user, login.actAs, m, box, err)
			}
			o.Password = "testbed"
			if _, err := Dial(t.Context(), o); !errors.Is(err, ErrLogin) {
				t.Errorf("with a user's password, %s for %q: %v", login.user, login.actAs, err)
			}
		}
	}
}

// message makes a message that is not like any other.
func message(i, size int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: a@example.org\r\nSubject: message %d\r\nMessage-ID: <%d@example.org>\r\n\r\n", i, i)
	for n := i * 7919; b.Len() < size; n += 104729 {
		fmt.Fprintf(&b, "%071d\r\n", n*n)
	}
	return b.Bytes()
}

// fill appends messages from four goroutines.
func fill(t testing.TB, c *Conn, folder string, count int, size func(i int) int) {
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := g; i < count; i += 4 {
				if err := add(c, folder, message(i, size(i)), imap.FlagSeen, "$k"); err != nil {
					t.Error(c.Explain(err))
					return
				}
			}
		})
	}
	wg.Wait()
}

// sums fetches all messages and returns the hashes of their bodies, sorted.
func sums(t testing.TB, c *Conn) []string {
	t.Helper()
	cmd := c.Fetch(uids(1, 0), &imap.FetchOptions{UID: true, Flags: true, InternalDate: true, RFC822Size: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}}})
	var out []string
	for m := cmd.Next(); m != nil; m = cmd.Next() {
		for item := m.Next(); item != nil; item = m.Next() {
			if b, ok := item.(imapclient.FetchItemDataBodySection); ok {
				h := sha256.New()
				if _, err := io.Copy(h, b.Literal); err != nil {
					t.Error(err)
				}
				out = append(out, hex.EncodeToString(h.Sum(nil)))
			}
		}
	}
	if err := cmd.Close(); err != nil {
		t.Fatal(c.Explain(err))
	}
	slices.Sort(out)
	return out
}

// Messages come back as they went in, with and without compression, while
// another session changes flags.
func TestRealServerKeepsMessages(t *testing.T) {
	t.Parallel()
	const count = 300
	size := func(i int) int { return []int{100, 3000, 20_000, 200_000}[i%4] }
	o := realServer(t, "TESTBED_IMAPS")
	var want []string
	for i := range count {
		h := sha256.Sum256(message(i, size(i)))
		want = append(want, hex.EncodeToString(h[:]))
	}
	slices.Sort(want)
	fill(t, dialReal(t, o), "INBOX", count, size)

	var octets [2]int64
	for i, compress := range []bool{false, true} {
		o.Compress = compress
		c := dialReal(t, o)
		d, err := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true, CondStore: true}).Wait()
		if err != nil {
			t.Fatal(c.Explain(err))
		}
		if d.NumMessages != count || d.HighestModSeq == 0 {
			t.Errorf("%+v", d)
		}
		stop, stopped := make(chan bool), make(chan bool)
		go func() {
			defer close(stopped)
			other := dialReal(t, o)
			other.Select("INBOX", nil).Wait()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				cmd, err := other.Store(uids(imap.UID(1+n%count), imap.UID(1+n%count)), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Flags: []imap.Flag{imap.Flag(fmt.Sprint("f", n%20))}}, nil)
				if err != nil || cmd.Close() != nil {
					t.Error(err)
				}
			}
		}()
		before, _ := c.Traffic()
		got := sums(t, c)
		after, _ := c.Traffic()
		octets[i] = after - before
		close(stop)
		<-stopped
		if !slices.Equal(got, want) {
			t.Errorf("compression %v: %d of %d messages, or not the same ones", compress, len(got), len(want))
		}
		alive(t, c)
	}
	t.Logf("%d octets, %d compressed", octets[0], octets[1])
	if octets[1] > octets[0]*3/4 {
		t.Errorf("%d octets, %d compressed", octets[0], octets[1])
	}
}

func TestRealServerFolders(t *testing.T) {
	t.Parallel()
	c := dialReal(t, realServer(t, "TESTBED_IMAPS"))
	names := []string{"INBOX", "R&D", "Entwürfe/Ä ö", "日本語", "a]b[c", `with "quotes"`, `back\slash`, "trail ", "=raw=414243", "👋"}
	for _, name := range names[1:] {
		if name == "=raw=414243" {
			name = AliasName([]byte(name))
		}
		cmd, err := c.Create(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("create %q: %v", name, err)
		}
		if err := c.Subscribe(name).Wait(); err != nil {
			t.Errorf("subscribe to %q: %v", name, err)
		}
		if err := add(c, name, []byte("A: b\r\n\r\n")); err != nil {
			t.Errorf("append to %q: %v", name, err)
		}
	}
	all, err := c.List("", "*", &imap.ListOptions{ReturnStatus: statusItems, ReturnSpecialUse: true, ReturnSubscribed: true}).Collect()
	if err != nil {
		t.Fatal(c.Explain(err))
	}
	seen := map[string]bool{}
	for _, d := range all {
		name := d.Mailbox
		if raw, ok := RawName(name); ok {
			name = string(raw)
		}
		seen[name] = true
		if d.Status == nil {
			continue // "Entwürfe", which only has a folder below
		}
		if name != "INBOX" && *d.Status.NumMessages != 1 {
			t.Errorf("%q has %d messages", name, *d.Status.NumMessages)
		}
		if _, err := c.Select(d.Mailbox, &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range names {
		if !seen[name] {
			t.Errorf("%q is not listed (of %v)", name, seen)
		}
	}
	if _, err := c.Namespace().Wait(); err != nil {
		t.Error(err)
	}
	if _, err := c.Select("R&D", nil).Wait(); err != nil {
		t.Error(err)
	}
	found, err := c.UIDSearch(&imap.SearchCriteria{}, &imap.SearchOptions{ReturnAll: true, ReturnCount: true}).Wait()
	if err != nil || found.Count != 1 {
		t.Errorf("%+v, %v", found, c.Explain(err))
	}
	err = add(c, "no such folder", []byte("x"))
	var no *imap.Error
	if !errors.As(err, &no) || no.Code != imap.ResponseCodeTryCreate {
		t.Errorf("append to nowhere: %v", c.Explain(err))
	}
	alive(t, c)
}

// A message of 100 MiB is streamed, out and back.
func TestRealServerLargeMessage(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: 100 MiB go over the wire twice")
	}
	t.Parallel()
	c := dialReal(t, realServer(t, "TESTBED_IMAPS"))
	big := bytes.Repeat(message(1, 1<<20), 100)
	if err := add(c, "INBOX", big); err != nil {
		t.Fatal(c.Explain(err))
	}
	if _, err := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
		t.Fatal(c.Explain(err))
	}
	h := sha256.Sum256(big)
	if got := sums(t, c); len(got) != 1 || got[0] != hex.EncodeToString(h[:]) {
		t.Error("it comes back as another")
	}
}

// BenchmarkFetch compares fetching from the real server through this package
// with go-imap alone. They take turns, so that whatever else the computer does
// slows both; the medians count.
func BenchmarkFetch(b *testing.B) {
	for _, set := range []struct{ count, size int }{{2000, 20_000}, {20_000, 2000}} {
		b.Run(fmt.Sprintf("%dx%d", set.count, set.size), func(b *testing.B) {
			o := realServer(b, "TESTBED_IMAP")
			o.Security = Insecure
			c := dialReal(b, o)
			fill(b, c, "INBOX", set.count, func(int) int { return set.size })
			bare, err := imapclient.DialInsecure(o.Address, nil)
			if err != nil {
				b.Fatal(err)
			}
			defer bare.Close()
			if err := bare.Login(o.User, o.Password).Wait(); err != nil {
				b.Fatal(err)
			}
			clients := []*imapclient.Client{bare, c.Client}
			for _, c := range clients {
				if _, err := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
					b.Fatal(err)
				}
			}
			var took [2][]time.Duration
			for turn := 0; b.Loop(); turn++ {
				for i := range clients {
					i = (i + turn) % 2
					start := time.Now()
					if n := readAll(b, clients[i]); n != set.count {
						b.Fatalf("%d messages", n)
					}
					took[i] = append(took[i], time.Since(start))
				}
			}
			var rate [2]float64
			for i, t := range took {
				slices.Sort(t)
				rate[i] = float64(set.count) / t[len(t)/2].Seconds()
			}
			b.ReportMetric(rate[0], "go-imap-messages/s")
			b.ReportMetric(rate[1], "messages/s")
			b.ReportMetric(rate[1]*float64(set.size)/1e6, "MB/s")
			b.ReportMetric(rate[1]/rate[0], "ratio")
		})
	}
}

// readAll reads all messages and throws them away.
func readAll(b *testing.B, c *imapclient.Client) (n int) {
	buf := make([]byte, 64<<10)
	cmd := c.Fetch(uids(1, 0), &imap.FetchOptions{UID: true, Flags: true, InternalDate: true, RFC822Size: true, ModSeq: true, BodySection: []*imap.FetchItemBodySection{{Peek: true}}})
	for m := cmd.Next(); m != nil; m = cmd.Next() {
		for item := m.Next(); item != nil; item = m.Next() {
			if body, ok := item.(imapclient.FetchItemDataBodySection); ok {
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{body.Literal}, buf); err != nil {
					b.Fatal(err)
				}
				n++
			}
		}
	}
	if err := cmd.Close(); err != nil {
		b.Fatal(err)
	}
	return n
}
