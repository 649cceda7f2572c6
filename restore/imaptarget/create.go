package imaptarget

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"restante/backup/accounts/imapconn"
	"restante/restore"
)

// Create creates a folder, with its special use where the server lets it
// (RFC 6154 section 5.2), and subscribes to it.
func (t *Target) Create(ctx context.Context, place string, f restore.Folder) (notes []string, err error) {
	c, err := t.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer t.release(c)
	defer c.Bind(ctx)()
	use, why := t.claim(c, place, f.SpecialUse)
	err = create(c, place, use)
	if len(use) > 0 && refused(c, err) && !exists(c, place, err) {
		t.disclaim(use)
		for _, u := range use {
			why[strings.ToLower(string(u))] = fmt.Sprintf("the server does not give it the special use %s: %v", u, err)
		}
		err = create(c, place, nil)
	}
	if err != nil && !exists(c, place, err) {
		return nil, aboutFolder(c, "CREATE", err)
	}
	notes, err = useless(c, place, f.SpecialUse, why)
	if err != nil {
		return notes, err
	}
	if f.Subscribed {
		more, err := subscribe(c, place)
		return append(notes, more...), err
	}
	return notes, nil
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
	return c.Explain(cmd.Wait())
}

// exists says whether a folder could not be created because it is there: by the
// code (RFC 9051 section 7.1), or, since many servers give none, by a look.
func exists(c *imapconn.Conn, place string, err error) bool {
	if no, ok := errors.AsType[*imap.Error](err); ok && no.Code == imap.ResponseCodeAlreadyExists {
		return true
	}
	if !refused(c, err) {
		return false
	}
	attrs, found, err := listOne(c, place)
	return err == nil && found && !slices.ContainsFunc(attrs, func(a imap.MailboxAttr) bool {
		return strings.EqualFold(string(a), `\Noselect`) || strings.EqualFold(string(a), `\NonExistent`)
	})
}

// listOne asks for one folder and its special use.
func listOne(c *imapconn.Conn, place string) (attrs []imap.MailboxAttr, found bool, err error) {
	var options *imap.ListOptions
	if c.Caps().Has(imap.CapListExtended) && c.Caps().Has(imap.CapSpecialUse) {
		options = &imap.ListOptions{ReturnSpecialUse: true}
	}
	// A name may hold what a pattern means something by. Of braces Cyrus 3.6 makes
	// a repetition, which ends its process, so they are asked for as anything.
	data, err := c.List("", strings.NewReplacer("{", "%", "}", "%").Replace(place), options).Collect()
	for _, d := range data {
		if d.Mailbox == place {
			return d.Attrs, true, c.Explain(err)
		}
	}
	return nil, false, c.Explain(err)
}

// claim says which special uses can be asked for, and of the others, by lower
// case, why not.
func (t *Target) claim(c *imapconn.Conn, place string, wanted []string) (use []imap.MailboxAttr, why map[string]string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	why = map[string]string{}
	for _, w := range wanted {
		key := strings.ToLower(w)
		switch other := t.uses[key]; {
		case other != "" && other != place:
			why[key] = fmt.Sprintf("%s is the special use of %q already", w, other)
		case !c.Caps().Has(imap.CapCreateSpecialUse):
			why[key] = fmt.Sprintf("the server does not let clients set a special use: %s", w)
		default:
			t.uses[key] = place
			use = append(use, imap.MailboxAttr(w))
		}
	}
	return use, why
}

func (t *Target) disclaim(use []imap.MailboxAttr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, u := range use {
		delete(t.uses, strings.ToLower(string(u)))
	}
}

// useless notes the special uses that the folder does not have. Some servers
// give them by a folder's name, whatever was asked for.
func useless(c *imapconn.Conn, place string, wanted []string, why map[string]string) (notes []string, err error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	attrs, found, err := listOne(c, place)
	if err != nil && !refused(c, err) {
		return nil, explain(c, "LIST", err)
	}
	told := found && c.Caps().Has(imap.CapSpecialUse)
	for _, w := range wanted {
		reason := why[strings.ToLower(w)]
		switch {
		case slices.ContainsFunc(attrs, func(a imap.MailboxAttr) bool { return strings.EqualFold(string(a), w) }):
			continue
		case reason == "" && !told:
			continue // it was asked for, and nobody says that it was not given
		case reason == "":
			reason = fmt.Sprintf("the server took %s for its special use, and does not show it", w)
		}
		notes = append(notes, reason)
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
	case refused(c, c.Explain(err)):
		return []string{fmt.Sprintf("it could not be subscribed to: %v", err)}, nil
	}
	return nil, explain(c, "SUBSCRIBE", err)
}
