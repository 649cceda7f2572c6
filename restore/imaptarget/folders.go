package imaptarget

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"restante/backup/accounts/imapconn"
	"restante/restore"
)

// Folders lists the folders of the account.
func (t *Target) Folders(ctx context.Context) ([]restore.Folder, error) {
	c, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer t.release(c)
	defer c.Bind(ctx)()
	spaces, err := c.Namespaces()
	if err != nil {
		return nil, classify(err)
	}
	data, subscribed, err := list(c)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spaces, t.delimiter, t.limit = spaces, spaces.Delimiter, 0
	if limit, ok := c.Caps().AppendLimit(); ok && limit != nil {
		t.limit = int64(*limit)
	}
	clear(t.uses)
	var folders []restore.Folder
	for _, d := range data {
		if t.delimiter == 0 {
			t.delimiter = d.Delim
		}
		f := restore.Folder{Place: d.Mailbox, Subscribed: subscribed[d.Mailbox]}
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
				t.uses[attr] = f.Place
			}
		}
		if selectable {
			folders = append(folders, f)
		}
	}
	return folders, nil
}

// list asks for the folders, with special uses and subscriptions at once where
// the server can (RFC 5258, RFC 6154), and else for the subscriptions apart.
func list(c *imapconn.Conn) (data []*imap.ListData, subscribed map[string]bool, err error) {
	caps := c.Caps()
	if caps.Has(imap.CapListExtended) {
		options := &imap.ListOptions{ReturnSubscribed: true, ReturnSpecialUse: caps.Has(imap.CapSpecialUse)}
		if data, err = c.List("", "*", options).Collect(); err == nil {
			return data, nil, nil
		}
		if err = explain(c, "LIST", err); !refused(c, err) {
			return nil, nil, err
		}
		// It promised more than it can do.
	}
	if data, err = c.List("", "*", nil).Collect(); err != nil {
		return nil, nil, explain(c, "LIST", err)
	}
	names, err := c.Subscribed()
	if err != nil {
		if err = explain(c, "LSUB", err); !refused(c, err) {
			return nil, nil, err
		}
		// It does not tell; to subscribe twice does no harm.
	}
	subscribed = map[string]bool{}
	for _, name := range names {
		subscribed[name] = true
	}
	return data, subscribed, nil
}

// Place names a folder as the account's server does, with its prefix and
// delimiter, and as LIST gives it. A character that the server takes for the
// delimiter is written as '_'.
func (t *Target) Place(levels []string, raw []byte, delimiter string) (string, []string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	between := ""
	if t.delimiter != 0 {
		between = string(t.delimiter)
	}
	if raw != nil && delimiter == between {
		// Octets that the levels do not give: the server that they came from had
		// the same delimiter, and may be this one.
		return imapconn.DecodeName(t.inside(raw)), nil, nil
	}
	if between == "" && len(levels) > 1 {
		return "", nil, fmt.Errorf("%s has no folders within folders", t.o.Location)
	}
	var notes []string
	places := slices.Clone(levels)
	for i, l := range places {
		if l == "" {
			places[i] = "_"
		} else if between != "" {
			places[i] = strings.ReplaceAll(l, between, "_")
		}
		if places[i] != l {
			notes = append(notes, fmt.Sprintf("%q is called %q there, because the server has %q between levels", l, places[i], between))
		}
	}
	return imapconn.NameOf(t.spaces.Join(places, t.delimiter)), notes, nil
}

// inside puts a name from a server into a namespace of this one.
func (t *Target) inside(raw []byte) []byte {
	for _, prefix := range append([]string{t.spaces.Prefix}, t.spaces.Others...) {
		if strings.HasPrefix(string(raw), string(imapconn.EncodeName(prefix))) {
			return raw
		}
	}
	return slices.Concat(imapconn.EncodeName(t.spaces.Prefix), raw)
}
