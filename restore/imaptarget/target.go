// Package imaptarget writes to an IMAP account: [New] makes a restore.Target
// of a function that connects. It creates folders, subscribes to them and
// appends messages; it never deletes, expunges or stores a flag.
package imaptarget

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/emersion/go-imap/v2"

	"restante/backup/accounts/imapconn"
	"restante/restore"
)

// Options say how an account is written to. Dial is needed.
type Options struct {
	// Location is how people know the account.
	Location string
	// Dial connects and logs in.
	Dial func(ctx context.Context) (*imapconn.Conn, error)
	// Parallel is how many connections there may be; 0 for 2.
	Parallel int
	Log      *slog.Logger
}

// A Target is an IMAP account.
type Target struct {
	o Options

	mu   sync.Mutex // guards what follows
	idle []*imapconn.Conn
	// What Folders found out:
	prefix    string // of the personal namespace
	delimiter string
	uses      map[string]string // special use, lower case → folder that has it
}

// New returns the account that o.Dial connects to.
func New(o Options) *Target {
	if o.Parallel <= 0 {
		o.Parallel = 2
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Target{o: o, uses: map[string]string{}}
}

// Location is how people know the account.
func (t *Target) Location() string { return t.o.Location }

// Parallel is how many connections there may be.
func (t *Target) Parallel() int { return t.o.Parallel }

// Close says goodbye on the connections that are idle.
func (t *Target) Close() error {
	t.mu.Lock()
	idle := t.idle
	t.idle = nil
	t.mu.Unlock()
	var wg sync.WaitGroup
	for _, c := range idle {
		wg.Go(func() { c.Logout(context.Background()) }) // waits ten seconds at most
	}
	wg.Wait()
	return nil
}

func (t *Target) connect(ctx context.Context) (*imapconn.Conn, error) {
	t.mu.Lock()
	for len(t.idle) > 0 {
		c := t.idle[len(t.idle)-1]
		t.idle = t.idle[:len(t.idle)-1]
		if c.Err() == nil {
			t.mu.Unlock()
			return c, nil
		}
	}
	t.mu.Unlock()
	c, err := t.o.Dial(ctx)
	if errors.Is(err, imapconn.ErrLogin) || errors.Is(err, imapconn.ErrTLS) {
		return nil, &marked{err, restore.ErrAccess}
	}
	return c, err
}

func (t *Target) release(c *imapconn.Conn) {
	if c.Err() != nil {
		c.Close()
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.idle = append(t.idle, c)
}

// explain says what a command's error means.
func explain(c *imapconn.Conn, what string, err error) error {
	err = c.Explain(err)
	if no, ok := errors.AsType[*imap.Error](err); ok && no.Code == imap.ResponseCodeNoPerm {
		return fmt.Errorf("%s: %w", what, &marked{err, restore.ErrAccess})
	}
	return fmt.Errorf("%s: %w", what, err)
}

// A marked error says what it says, and is something else besides.
type marked struct {
	error
	mark error
}

func (m *marked) Unwrap() []error { return []error{m.error, m.mark} }

// Folders lists the folders of the account.
func (t *Target) Folders(ctx context.Context) ([]restore.Folder, error) {
	c, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer t.release(c)
	defer c.Bind(ctx)()
	caps := c.Caps()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.delimiter = ""
	if caps.Has(imap.CapNamespace) {
		data, err := c.Namespace().Wait()
		if err != nil {
			return nil, explain(c, "NAMESPACE", err)
		}
		if len(data.Personal) > 0 {
			t.prefix = data.Personal[0].Prefix
			if d := data.Personal[0].Delim; d != 0 {
				t.delimiter = string(d)
			}
		}
	}
	options := new(imap.ListOptions)
	if caps.Has(imap.CapListExtended) {
		options.ReturnSubscribed, options.ReturnSpecialUse = true, caps.Has(imap.CapSpecialUse)
	}
	data, err := c.List("", "*", options).Collect()
	if err != nil {
		return nil, explain(c, "LIST", err)
	}
	var list []restore.Folder
	for _, d := range data {
		if t.delimiter == "" && d.Delim != 0 {
			t.delimiter = string(d.Delim)
		}
		f := restore.Folder{Place: d.Mailbox}
		if strings.EqualFold(f.Place, "INBOX") {
			f.Place = "INBOX"
		}
		selectable := true
		for _, a := range d.Attrs {
			switch attr := strings.ToLower(string(a)); attr {
			case `\noselect`, `\nonexistent`:
				selectable = false
			case `\subscribed`:
				f.Subscribed = true
			case `\all`, `\archive`, `\drafts`, `\flagged`, `\important`, `\junk`, `\sent`, `\trash`:
				f.SpecialUse = append(f.SpecialUse, string(a))
				t.uses[attr] = d.Mailbox
			}
		}
		if selectable {
			list = append(list, f)
		}
	}
	return list, nil
}

// Place names a folder as the account's server does: with its prefix and
// delimiter. A character that the server takes for the delimiter is written
// as '_'.
func (t *Target) Place(levels []string, raw []byte, delimiter string) (string, []string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(levels) == 1 && levels[0] == "INBOX" {
		return "INBOX", nil, nil
	}
	if raw != nil && delimiter == t.delimiter {
		// Octets that are no name by the standard: the server that they came
		// from had the same delimiter, and may be this one.
		if !strings.HasPrefix(string(raw), t.prefix) {
			raw = append([]byte(t.prefix), raw...)
		}
		return imapconn.AliasName(raw), nil, nil
	}
	if t.delimiter == "" && len(levels) > 1 {
		return "", nil, fmt.Errorf("%s has no folders within folders", t.o.Location)
	}
	var notes []string
	places := slices.Clone(levels)
	for i, l := range places {
		if l == "" {
			places[i] = "_"
		} else if t.delimiter != "" {
			places[i] = strings.ReplaceAll(l, t.delimiter, "_")
		}
		if places[i] != l {
			notes = append(notes, fmt.Sprintf("%q is called %q there, because the server has %q between levels", l, places[i], t.delimiter))
		}
	}
	return t.prefix + strings.Join(places, t.delimiter), notes, nil
}

// Create creates a folder, with its special use where the server lets it
// (RFC 6154 section 5.2), and subscribes to it.
func (t *Target) Create(ctx context.Context, place string, f restore.Folder) (notes []string, err error) {
	c, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer t.release(c)
	defer c.Bind(ctx)()
	use, notes := t.use(c, place, f.SpecialUse)
	err = create(c, place, use)
	if no, ok := errors.AsType[*imap.Error](err); ok && len(use) > 0 && no.Code != imap.ResponseCodeAlreadyExists && c.Err() == nil {
		notes = append(notes, fmt.Sprintf("the server does not give it the special use %v: %v", f.SpecialUse, no))
		err = create(c, place, nil)
	}
	if no, ok := errors.AsType[*imap.Error](err); ok && no.Code == imap.ResponseCodeAlreadyExists {
		err = nil // a client was faster
	}
	if err != nil {
		return notes, explain(c, "CREATE", err)
	}
	if f.Subscribed {
		more, err := subscribe(c, place)
		return append(notes, more...), err
	}
	return notes, nil
}

// Subscribe subscribes to a folder.
func (t *Target) Subscribe(ctx context.Context, place string) ([]string, error) {
	c, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer t.release(c)
	defer c.Bind(ctx)()
	return subscribe(c, place)
}

func subscribe(c *imapconn.Conn, place string) ([]string, error) {
	err := c.Subscribe(place).Wait()
	switch {
	case err == nil:
		return nil, nil
	case c.Err() != nil:
		return nil, explain(c, "SUBSCRIBE", err)
	}
	return []string{fmt.Sprintf("it could not be subscribed to: %v", err)}, nil
}

func create(c *imapconn.Conn, place string, use []imap.MailboxAttr) error {
	var options *imap.CreateOptions
	if len(use) > 0 {
		options = &imap.CreateOptions{SpecialUse: use}
	}
	cmd, err := c.Create(place, options)
	if err != nil {
		return err
	}
	return cmd.Wait()
}

// use says which special uses can be asked for, and notes the others.
func (t *Target) use(c *imapconn.Conn, place string, wanted []string) (use []imap.MailboxAttr, notes []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range wanted {
		if other := t.uses[strings.ToLower(w)]; other != "" && other != place {
			notes = append(notes, fmt.Sprintf("%s is the special use of %q already", w, other))
			continue
		}
		if !c.Caps().Has(imap.CapCreateSpecialUse) {
			notes = append(notes, fmt.Sprintf("the server does not let clients set a special use: %s", w))
			continue
		}
		t.uses[strings.ToLower(w)] = place
		use = append(use, imap.MailboxAttr(w))
	}
	return use, notes
}

// Room asks for the quota of INBOX (RFC 9208).
func (t *Target) Room(ctx context.Context) (octets int64, known bool, err error) {
	c, err := t.connect(ctx)
	if err != nil {
		return 0, false, err
	}
	defer t.release(c)
	defer c.Bind(ctx)()
	if !c.Caps().Has(imap.CapQuota) {
		return 0, false, nil
	}
	data, err := c.GetQuotaRoot("INBOX").Wait()
	if c.Err() != nil {
		return 0, false, explain(c, "GETQUOTAROOT", err)
	}
	if err != nil {
		return 0, false, nil // no quota that we may see
	}
	for _, root := range data {
		storage, ok := root.Resources[imap.QuotaResourceStorage]
		if !ok {
			continue
		}
		// Units of 1024 octets (RFC 9208 section 5.1).
		if room := max(0, storage.Limit-storage.Usage) * 1024; !known || room < octets {
			octets, known = room, true
		}
	}
	return octets, known, nil
}
