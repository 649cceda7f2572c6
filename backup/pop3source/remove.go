package pop3source

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"restante/backup"
	"restante/backup/accounts/pop3conn"
	"restante/storage"
)

// Removal says what is to be deleted from a maildrop.
type Removal struct {
	Account string
	Policy  Policy
	// Repo has the account's snapshots.
	Repo *storage.Repository
	// Proof is the same repository, opened for this with no cache: what is read
	// from it comes from the store, as for somebody who has nothing else.
	Proof *storage.Repository
	// Now is what ages are counted to.
	Now time.Time
	// DryRun only finds out what would be deleted.
	DryRun bool
	// Pause waits before the i-th try again to open a maildrop that another
	// session has open; nil: 1 s, doubled each time, at most 30 s.
	Pause func(ctx context.Context, i int) error
}

// A Verdict is about one message.
type Verdict struct {
	UID       uint32    `json:"uid"`
	UIDL      string    `json:"uidl,omitempty"`
	Size      int64     `json:"size"`
	From      string    `json:"from"`
	Subject   string    `json:"subject"`
	FirstSeen time.Time `json:"first_seen"`
	Reason    string    `json:"reason"` // why it is deleted, or not
	Problem   bool      `json:"problem,omitempty"`
}

// A Report is what a removal did, or would do.
type Report struct {
	Policy string `json:"policy"`
	DryRun bool   `json:"dry_run,omitempty"`
	// Deleted are gone from the server, or would be.
	Deleted []Verdict `json:"deleted"`
	// Kept are those that the policy wants deleted, and that are not.
	Kept []Verdict `json:"kept"`
	// Unknown are those of which nobody knows: the server did not confirm the
	// end of the session. The next run sees what has become of them.
	Unknown []Verdict `json:"unknown"`
	// Left is how many messages are on the server now, or would be, and how many
	// octets they have; those of Unknown count as left.
	Left       int   `json:"left"`
	LeftOctets int64 `json:"left_octets"`
}

// A candidate is a message that the latest snapshot has.
type candidate struct {
	Verdict
	key    key
	recipe storage.BlobID
	listed pop3conn.Listed // in the session at hand
}

// Remove deletes from the server what the policy wants deleted and what is
// proven to be in the repository. For each message all of this holds, or it is
// not deleted:
//
//   - the account's latest snapshot in Proof has it, and its octets, read from
//     there, have the digest of what RETR gave;
//   - in the session that deletes it, the server lists its unique-id once, with
//     the size it had, and shows its header, or all of it, as it was.
//
// The server deletes at the end of the session (RFC 1939 section 6). If that
// is not confirmed, nothing is assumed. With an error nothing was deleted.
func (s *Source) Remove(ctx context.Context, o Removal) (*Report, error) {
	r := &Report{Policy: o.Policy.String(), DryRun: o.DryRun, Deleted: []Verdict{}, Kept: []Verdict{}, Unknown: []Verdict{}}
	if o.Policy.Keeps() {
		return r, nil
	}
	held, snapshot, err := candidates(ctx, &o)
	if err != nil {
		return nil, err
	}
	if err := s.listAgain(ctx, o.Pause); err != nil {
		return nil, err
	}
	s.mu.Lock()
	c := s.idle
	s.idle = nil
	s.mu.Unlock()
	defer c.Close()
	defer c.Bind(ctx)()

	x := &removal{Removal: o, report: r, snapshot: snapshot, mailbox: &mailbox{source: s, session: c, spool: spool{tempDir: s.o.TempDir}}}
	defer x.mailbox.spool.drop()
	chosen, err := x.choose(ctx, x.present(held))
	if err == nil {
		chosen, err = x.sameHere(chosen)
	}
	if err == nil && !o.DryRun {
		chosen, err = x.mark(chosen)
	}
	if err != nil {
		return nil, fmt.Errorf("nothing was deleted: %w", classify(err))
	}
	x.end(ctx, chosen)
	return r, nil
}

// busyTries is how often a maildrop is tried that another session has open:
// about a minute of trying.
const busyTries = 7

// listAgain ends the session that is open, and its locks, and lists what is on
// the server in a new one.
func (s *Source) listAgain(ctx context.Context, pause func(ctx context.Context, i int) error) error {
	for i := 0; ; i++ {
		_, err := s.List(ctx)
		if !errors.Is(err, backup.ErrBusy) || i == busyTries-1 {
			return err
		}
		s.o.Log.Info("the maildrop is busy; trying again", "error", err)
		if pause == nil {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(min(time.Second<<i, 30*time.Second)):
			}
		} else if err := pause(ctx, i); err != nil {
			return err
		}
	}
}

// candidates are the messages of the account's latest snapshot, by unique-id.
func candidates(ctx context.Context, o *Removal) (map[string]*candidate, storage.Snapshot, error) {
	snapshot, ok := o.Proof.Latest(o.Account)
	if !ok {
		return nil, snapshot, fmt.Errorf("nothing is deleted: account %q has no snapshot", o.Account)
	}
	first, err := firstSeen(ctx, o.Repo, o.Account)
	if err != nil {
		return nil, snapshot, err
	}
	tree, err := o.Proof.OpenSnapshot(ctx, snapshot)
	if err != nil {
		return nil, snapshot, fmt.Errorf("nothing is deleted: %w", err)
	}
	held := map[string]*candidate{}
	f := tree.Folder(inbox)
	if f == nil || tree.Kind != kind {
		return held, snapshot, nil
	}
	twice := map[string]bool{}
	for list, err := range f.PageWise(ctx, nil) {
		if err != nil {
			return nil, snapshot, fmt.Errorf("nothing is deleted: %w", err)
		}
		for i := range list {
			m := &list[i]
			k, ok := parseKey(m.Key)
			if !ok || k.uidl == "" {
				continue
			}
			at, ok := first[sighting{m.UID, k.digest}]
			if !ok {
				at = snapshot.StartedAt()
			}
			twice[k.uidl] = held[k.uidl] != nil
			held[k.uidl] = &candidate{key: k, recipe: m.Recipe, Verdict: Verdict{UID: m.UID, UIDL: k.uidl, Size: m.Size, From: m.From, Subject: m.Subject, FirstSeen: at}}
		}
	}
	for uidl, more := range twice {
		if more {
			delete(held, uidl)
		}
	}
	return held, snapshot, nil
}

// A removal is one Remove.
type removal struct {
	Removal
	report   *Report
	snapshot storage.Snapshot
	mailbox  *mailbox
}

// present returns the candidates that the server has in this session, the one
// that was seen first first, and counts what else it has.
func (x *removal) present(held map[string]*candidate) (list []*candidate) {
	listing := x.mailbox.session.listing
	unique := uniques(listing.Messages)
	for _, l := range listing.Messages {
		x.report.Left++
		x.report.LeftOctets += max(0, l.Size)
		c := held[l.UIDL]
		if c == nil || unique[l.UIDL].Number != l.Number {
			continue // it came since, or nothing tells for certain which one it is
		}
		c.listed = l
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *candidate) int {
		return cmp.Or(a.FirstSeen.Compare(b.FirstSeen), cmp.Compare(a.UID, b.UID))
	})
	return list
}

// choose returns those that the policy wants deleted and that are proven.
func (x *removal) choose(ctx context.Context, list []*candidate) (chosen []*candidate, err error) {
	p := x.Policy
	left := x.report.LeftOctets
	for _, c := range list {
		seen := c.FirstSeen.Format("2006-01-02 15:04")
		switch p.rule {
		case deleteAfterBackup:
			c.Reason = "it is backed up"
		case deleteAfter:
			if x.Now.Sub(c.FirstSeen) < p.age {
				continue
			}
			c.Reason = "it was first seen at " + seen
		case deleteOver:
			if left <= p.limit {
				return chosen, nil
			}
			c.Reason = fmt.Sprintf("%d octets are in the maildrop, and it is the oldest, first seen at %s", left, seen)
		default:
			return nil, nil
		}
		why, err := x.unproven(ctx, c)
		if err != nil {
			return nil, err
		}
		if why != "" {
			x.keep(c, why)
			continue
		}
		chosen = append(chosen, c)
		left -= max(0, c.listed.Size)
	}
	return chosen, nil
}

func (x *removal) keep(c *candidate, why string) {
	c.Reason = why
	x.report.Kept = append(x.report.Kept, c.Verdict)
}

// unproven reads a message back from the store and says why it is not proven
// to be there as the server sent it; empty: it is.
func (x *removal) unproven(ctx context.Context, c *candidate) (why string, err error) {
	switch {
	case c.key.odd:
		return "the server sent it in a form that leaves something uncertain", nil
	case c.listed.Size != c.key.size:
		return fmt.Sprintf("the server tells of %d octets, and told of %d", c.listed.Size, c.key.size), nil
	}
	h := sha256.New()
	err = x.Proof.WriteMessage(ctx, h, x.snapshot.Vault, c.recipe)
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err != nil:
		c.Problem = true
		return "it could not be read back from the repository: " + err.Error(), nil
	case [sha256.Size]byte(h.Sum(nil)) != c.key.digest:
		c.Problem = true
		return "what the repository has of it is not what the server sent", nil
	}
	return "", nil
}

// sameHere returns those that the server shows in this session as they were.
func (x *removal) sameHere(list []*candidate) (same []*candidate, err error) {
	var listed []pop3conn.Listed
	keys := map[int]*key{}
	for _, c := range list {
		listed = append(listed, c.listed)
		keys[c.listed.Number] = &c.key
	}
	unlike, err := x.mailbox.compareHeads(listed, keys)
	if err != nil {
		return nil, err
	}
	other := map[int]bool{}
	err = x.mailbox.receive(unlike, func(l pop3conn.Listed, r *received) error {
		if r.err != nil || r.key.digest != keys[l.Number].digest {
			other[l.Number] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		if other[c.listed.Number] {
			x.keep(c, "the server has another message under its unique-id")
		} else {
			same = append(same, c)
		}
	}
	return same, nil
}

// mark marks messages to be deleted, and returns those that the server marked.
func (x *removal) mark(list []*candidate) (marked []*candidate, err error) {
	for _, c := range list {
		err := x.mailbox.session.Delete(c.listed.Number)
		switch {
		case err == nil:
			marked = append(marked, c)
		case errors.Is(err, pop3conn.ErrRefused), errors.Is(err, pop3conn.ErrBusy):
			c.Problem = true
			x.keep(c, err.Error())
		default:
			return nil, err
		}
	}
	return marked, nil
}

// end ends the session, and writes down what has become of the messages.
func (x *removal) end(ctx context.Context, marked []*candidate) {
	err := x.mailbox.session.Quit(ctx)
	for _, c := range marked {
		if !x.DryRun && err != nil {
			c.Reason = "the server did not confirm that it deletes it: " + err.Error()
			x.report.Unknown = append(x.report.Unknown, c.Verdict)
			continue
		}
		x.report.Deleted = append(x.report.Deleted, c.Verdict)
		x.report.Left--
		x.report.LeftOctets -= max(0, c.listed.Size)
	}
}

// Problems reports whether something did not go as it should have.
func (r *Report) Problems() bool {
	return len(r.Unknown) > 0 || slices.ContainsFunc(r.Kept, func(v Verdict) bool { return v.Problem })
}
