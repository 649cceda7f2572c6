package imapsource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"restante/backup"
	"restante/backup/accounts/imapconn"
	"restante/storage"
)

// List lists all folders, with their states in the same round trip where the
// server can (RFC 5258, RFC 5819, RFC 6154). It begins a run.
func (s *Source) List(ctx context.Context) ([]backup.Listed, error) {
	// A connection that has a folder open from an earlier run may know the state
	// it had then.
	s.hangUp()
	c, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer s.release(c)
	defer c.Bind(ctx)()
	spaces, err := c.Namespaces()
	if err != nil {
		return nil, classify(err)
	}
	l := &listing{source: s, c: c, spaces: spaces}
	if err := l.ask(); err != nil {
		return nil, err
	}
	list, names := l.folders()
	if err := l.statuses(list, names); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.names)
	for i := range list {
		s.names[storage.FolderName(list[i].Levels)] = names[i]
	}
	clear(s.noFlag)
	s.notes, s.sharing = l.notes, c.HasLabels()
	if l.uncertain != nil {
		return list, l.uncertain
	}
	return list, nil
}

// A listing is one List.
type listing struct {
	source     *Source
	c          *connection
	spaces     imapconn.Namespaces
	data       []*imap.ListData
	subscribed map[string]bool
	notes      []string
	uncertain  error // folders may be there that are not listed
}

// ask asks for the folders and the subscriptions.
func (l *listing) ask() (err error) {
	options := l.options()
	if l.data, err = l.c.List("", "*", options).Collect(); l.refused(err) && options != nil {
		// It promised more than it can do.
		options = nil
		l.data, err = l.c.List("", "*", nil).Collect()
	}
	if err != nil {
		return l.c.explain("LIST", err)
	}
	if len(l.data) == 0 {
		// There is an INBOX at least (RFC 9051 section 5.1).
		l.uncertain = fmt.Errorf("%w: the server lists no folder at all", backup.ErrEnumeration)
	}
	if err := l.askOthers(options); err != nil {
		return err
	}
	if options != nil {
		return nil
	}
	names, err := l.c.Subscribed()
	switch {
	case l.refused(err):
		l.notes = append(l.notes, fmt.Sprintf("the server does not tell which folders are subscribed to: %v", err))
	case err != nil:
		return l.c.explain("LSUB", err)
	}
	l.subscribed = map[string]bool{}
	for _, name := range names {
		l.subscribed[name] = true
	}
	return nil
}

// options ask for all that is wanted at once; nil where the server cannot.
func (l *listing) options() *imap.ListOptions {
	caps := l.c.Caps()
	if !caps.Has(imap.CapListExtended) {
		return nil
	}
	o := &imap.ListOptions{ReturnSubscribed: true, ReturnSpecialUse: caps.Has(imap.CapSpecialUse)}
	if caps.Has(imap.CapListStatus) && caps.Has(imap.CapCondStore) {
		o.ReturnStatus = statusItems
	}
	return o
}

// askOthers asks for the folders of other namespaces, which servers need not
// list with the account's own (RFC 2342 section 5).
func (l *listing) askOthers(options *imap.ListOptions) error {
	for _, prefix := range l.spaces.Others {
		under := func(d *imap.ListData) bool { return strings.HasPrefix(d.Mailbox, prefix) }
		shown, pattern := prefix, prefix+"*"
		if octets, isRaw := imapconn.RawName(prefix); isRaw {
			shown, pattern = string(octets), imapconn.AliasName(append(octets, '*'))
		}
		if slices.ContainsFunc(l.data, under) || strings.ContainsAny(shown, "*%") || isNotMail(shown) {
			continue
		}
		more, err := l.c.List("", pattern, options).Collect()
		switch {
		case l.refused(err):
			// What was there before is not gone because of it.
			l.uncertain = fmt.Errorf("%w: the folders below %q cannot be listed: %w", backup.ErrEnumeration, shown, err)
		case err != nil:
			return l.c.explain("LIST", err)
		}
		l.data = append(l.data, more...)
	}
	return nil
}

// isNotMail tells of namespaces by their customary names (RFC 3501 section
// 5.1.2) what nobody wants in a backup of mail.
func isNotMail(prefix string) bool {
	prefix = strings.ToLower(prefix)
	return strings.HasPrefix(prefix, "#news") || strings.HasPrefix(prefix, "#ftp")
}

// refused says whether the server said no, for good, and the connection is
// well.
func (l *listing) refused(err error) bool {
	return errors.Is(l.c.explain("", err), backup.ErrRefused)
}

// folders makes folders of what was listed, and tells what the library calls
// each.
func (l *listing) folders() (list []backup.Listed, names []string) {
	taken := map[string]bool{}
	data := once(l.data)
	described := make(map[*imap.ListData]backup.Listed, len(data))
	for _, d := range data {
		described[d] = l.describe(d)
	}
	// Of names that only their octets tell apart, the first one stays what it
	// is: one that is written as it should be, if there is.
	slices.SortStableFunc(data, func(a, b *imap.ListData) int {
		return cmp.Compare(min(1, len(described[a].Raw)), min(1, len(described[b].Raw)))
	})
	for _, d := range data {
		f := described[d]
		for base, n := f.Levels[len(f.Levels)-1], 2; taken[storage.FolderName(f.Levels)]; n++ {
			f.Levels[len(f.Levels)-1] = fmt.Sprintf("%s (%d)", base, n)
			f.Raw = imapconn.EncodeName(d.Mailbox)
		}
		taken[storage.FolderName(f.Levels)] = true
		list, names = append(list, f), append(names, d.Mailbox)
	}
	return list, names
}

// once sorts folders by name, so that their order means nothing, and merges
// those that are listed several times.
func once(data []*imap.ListData) (list []*imap.ListData) {
	slices.SortStableFunc(data, func(a, b *imap.ListData) int { return cmp.Compare(a.Mailbox, b.Mailbox) })
	for _, d := range data {
		if len(list) == 0 || list[len(list)-1].Mailbox != d.Mailbox {
			list = append(list, d)
			continue
		}
		last := list[len(list)-1]
		if noSelect(last) && !noSelect(d) {
			list[len(list)-1], last, d = d, d, last
		}
		for _, a := range d.Attrs {
			if !slices.Contains(last.Attrs, a) && !isOneOf(string(a), notSelectable...) {
				last.Attrs = append(last.Attrs, a)
			}
		}
		if last.Status == nil {
			last.Status = d.Status
		}
	}
	return list
}

func noSelect(d *imap.ListData) bool {
	return slices.ContainsFunc(d.Attrs, func(a imap.MailboxAttr) bool { return isOneOf(string(a), notSelectable...) })
}

// describe makes a folder of what LIST says.
func (l *listing) describe(d *imap.ListData) backup.Listed {
	f := backup.Listed{Subscribed: l.subscribed[d.Mailbox], NoSelect: noSelect(d)}
	if d.Delim != 0 {
		f.Delimiter = string(d.Delim)
	}
	f.Levels, f.Raw = l.spaces.Levels(d.Mailbox, d.Delim)
	for _, a := range d.Attrs {
		switch attr := string(a); {
		case isOneOf(attr, `\Subscribed`):
			f.Subscribed = true
		case isOneOf(attr, specialUses...):
			f.SpecialUse = append(f.SpecialUse, attr)
		case isOneOf(attr, `\HasChildren`, `\HasNoChildren`, `\Marked`, `\Unmarked`):
			// They follow from other folders, or change by the hour.
		default:
			f.Attributes = append(f.Attributes, attr)
		}
	}
	slices.Sort(f.SpecialUse)
	slices.Sort(f.Attributes)
	f.SpecialUse, f.Attributes = slices.Compact(f.SpecialUse), slices.Compact(f.Attributes)
	if !f.NoSelect {
		f.Status = status(d.Status)
	}
	return f
}

// notSelectable is what folders are that hold no messages (RFC 9051 section
// 7.3.1).
var notSelectable = []string{`\Noselect`, `\NonExistent`}

// specialUses are those of RFC 6154 and RFC 8457.
var specialUses = []string{`\All`, `\Archive`, `\Drafts`, `\Flagged`, `\Important`, `\Junk`, `\Sent`, `\Trash`}

func isOneOf(s string, list ...string) bool {
	return slices.ContainsFunc(list, func(x string) bool { return strings.EqualFold(x, s) })
}
