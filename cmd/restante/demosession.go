package main

import (
	"crypto/subtle"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// demoCaps is what the demo's server can do beside IMAP4rev1.
var demoCaps = imap.CapSet{
	imap.CapIMAP4rev1: {}, imap.CapNamespace: {}, imap.CapUIDPlus: {}, imap.CapESearch: {}, imap.CapListExtended: {}, imap.CapListStatus: {},
	imap.CapMove: {}, imap.CapStatusSize: {}, imap.CapChildren: {}, imap.CapSpecialUse: {}, imap.CapCreateSpecialUse: {}, imap.CapLiteralPlus: {},
}

// A demoSession is one connection to the demo's server. go-imap calls one
// method at a time.
type demoSession struct {
	server   *demoServer
	account  *demoAccount // nil before the login
	folder   *demoFolder  // nil: none is open
	view     *imapserver.SessionTracker
	readOnly bool
}

// demoNo is an answer NO.
func demoNo(code imap.ResponseCode, text string) error {
	return &imap.Error{Type: imap.StatusResponseTypeNo, Code: code, Text: text}
}

func (s *demoSession) lock() (unlock func()) {
	s.server.mu.Lock()
	return s.server.mu.Unlock
}

func (s *demoSession) Close() error { return s.Unselect() }

func (s *demoSession) Login(user, password string) error {
	defer s.lock()()
	a := s.server.accounts[user]
	if a == nil || subtle.ConstantTimeCompare([]byte(a.password), []byte(password)) != 1 {
		return imapserver.ErrAuthFailed
	}
	s.account = a
	return nil
}

func (s *demoSession) Namespace() (*imap.NamespaceData, error) {
	return &imap.NamespaceData{Personal: []imap.NamespaceDescriptor{{Delim: demoDelimiter}}}, nil
}

func (s *demoSession) find(name string, code imap.ResponseCode) (*demoFolder, error) {
	if f := s.account.folders[name]; f != nil {
		return f, nil
	}
	return nil, demoNo(code, "there is no such folder")
}

func (s *demoSession) Select(name string, o *imap.SelectOptions) (*imap.SelectData, error) {
	defer s.lock()()
	f, err := s.find(name, imap.ResponseCodeNonExistent)
	if err != nil {
		return nil, err
	}
	s.folder, s.view, s.readOnly = f, f.tracker.NewSession(), o.ReadOnly
	d := &imap.SelectData{NumMessages: uint32(len(f.messages)), UIDNext: f.next, UIDValidity: f.validity,
		Flags: []imap.Flag{imap.FlagSeen, imap.FlagAnswered, imap.FlagFlagged, imap.FlagDeleted, imap.FlagDraft}}
	for i, m := range f.messages {
		if d.FirstUnseenSeqNum == 0 && !m.has(imap.FlagSeen) {
			d.FirstUnseenSeqNum = uint32(i + 1)
		}
		for _, flag := range m.flags {
			if !slices.ContainsFunc(d.Flags, isFlag(flag)) {
				d.Flags = append(d.Flags, flag)
			}
		}
	}
	if !o.ReadOnly {
		d.PermanentFlags = append(slices.Clone(d.Flags), imap.FlagWildcard)
	}
	return d, nil
}

func (s *demoSession) Unselect() error {
	if s.view != nil {
		s.view.Close()
	}
	s.folder, s.view = nil, nil
	return nil
}

func (s *demoSession) Create(name string, o *imap.CreateOptions) error {
	defer s.lock()()
	name = strings.TrimSuffix(name, string(demoDelimiter))
	if slices.Contains(strings.Split(name, string(demoDelimiter)), "") {
		return demoNo(imap.ResponseCodeCannot, "a folder's name has no empty levels")
	}
	if s.account.folders[name] != nil {
		return demoNo(imap.ResponseCodeAlreadyExists, "there is such a folder")
	}
	s.server.addFolder(s.account, name, o.SpecialUse...)
	return nil
}

// below lists a folder and those below it.
func (s *demoSession) below(name string) (list []*demoFolder) {
	for _, f := range s.account.folders {
		if f.name == name || strings.HasPrefix(f.name, name+string(demoDelimiter)) {
			list = append(list, f)
		}
	}
	return list
}

func (s *demoSession) Delete(name string) error {
	defer s.lock()()
	_, err := s.find(name, imap.ResponseCodeNonExistent)
	switch {
	case err != nil:
		return err
	case name == "INBOX":
		return demoNo(imap.ResponseCodeCannot, "INBOX is there for ever")
	case len(s.below(name)) > 1:
		return demoNo(imap.ResponseCodeHasChildren, "there are folders below it")
	}
	delete(s.account.folders, name)
	return nil
}

// Rename renames a folder and those below it. Subscriptions are to names, and
// stay (RFC 9051 section 6.3.6).
func (s *demoSession) Rename(name, to string, _ *imap.RenameOptions) error {
	defer s.lock()()
	_, err := s.find(name, imap.ResponseCodeNonExistent)
	switch {
	case err != nil:
		return err
	case name == "INBOX" || strings.HasPrefix(to, name+string(demoDelimiter)):
		return demoNo(imap.ResponseCodeCannot, "this folder cannot have that name")
	case s.account.folders[to] != nil:
		return demoNo(imap.ResponseCodeAlreadyExists, "there is such a folder")
	}
	if above := demoAbove(to); above != "" && s.account.folders[above] == nil {
		s.server.addFolder(s.account, above)
	}
	for _, f := range s.below(name) {
		delete(s.account.folders, f.name)
		f.name = to + strings.TrimPrefix(f.name, name)
		s.account.folders[f.name] = f
	}
	return nil
}

func (s *demoSession) Subscribe(name string) error {
	defer s.lock()()
	s.account.subscribed[name] = true
	return nil
}

func (s *demoSession) Unsubscribe(name string) error {
	defer s.lock()()
	delete(s.account.subscribed, name)
	return nil
}

func (s *demoSession) List(w *imapserver.ListWriter, ref string, patterns []string, o *imap.ListOptions) error {
	if len(patterns) == 0 { // RFC 9051 section 6.3.9: only the delimiter is asked for
		return w.WriteList(&imap.ListData{Attrs: []imap.MailboxAttr{imap.MailboxAttrNoSelect}, Delim: demoDelimiter})
	}
	for _, d := range s.listed(o) {
		if !slices.ContainsFunc(patterns, func(p string) bool { return imapserver.MatchList(d.Mailbox, demoDelimiter, ref, p) }) {
			continue
		}
		if err := w.WriteList(&d); err != nil {
			return err
		}
	}
	return nil
}

// listed is all folders, by name, as LIST tells of them.
func (s *demoSession) listed(o *imap.ListOptions) (list []imap.ListData) {
	defer s.lock()()
	for name, f := range s.account.folders {
		subscribed := s.account.subscribed[name]
		if o.SelectSubscribed && !subscribed || o.SelectSpecialUse && len(f.uses) == 0 {
			continue
		}
		d := imap.ListData{Mailbox: name, Delim: demoDelimiter}
		if o.ReturnChildren {
			d.Attrs = append(d.Attrs, imap.MailboxAttrHasNoChildren)
			if len(s.below(name)) > 1 {
				d.Attrs[0] = imap.MailboxAttrHasChildren
			}
		}
		if subscribed && (o.ReturnSubscribed || o.SelectSubscribed) {
			d.Attrs = append(d.Attrs, imap.MailboxAttrSubscribed)
		}
		if o.ReturnSpecialUse || o.SelectSpecialUse {
			d.Attrs = append(d.Attrs, f.uses...)
		}
		if o.ReturnStatus != nil {
			d.Status = f.status()
		}
		list = append(list, d)
	}
	for name := range s.account.subscribed {
		if o.SelectSubscribed && s.account.folders[name] == nil { // RFC 9051 section 6.3.9.1
			list = append(list, imap.ListData{Mailbox: name, Delim: demoDelimiter, Attrs: []imap.MailboxAttr{imap.MailboxAttrNonExistent, imap.MailboxAttrSubscribed}})
		}
	}
	slices.SortFunc(list, func(a, b imap.ListData) int { return strings.Compare(a.Mailbox, b.Mailbox) })
	return list
}

func (s *demoSession) Status(name string, _ *imap.StatusOptions) (*imap.StatusData, error) {
	defer s.lock()()
	f, err := s.find(name, imap.ResponseCodeNonExistent)
	if err != nil {
		return nil, err
	}
	return f.status(), nil
}

// status is all that STATUS may ask for.
func (f *demoFolder) status() *imap.StatusData {
	messages, unseen, deleted, recent := uint32(len(f.messages)), uint32(0), uint32(0), uint32(0)
	size, deletedSize := int64(0), int64(0)
	for _, m := range f.messages {
		size += int64(len(m.octets))
		if !m.has(imap.FlagSeen) {
			unseen++
		}
		if m.has(imap.FlagDeleted) {
			deleted++
			deletedSize += int64(len(m.octets))
		}
	}
	return &imap.StatusData{Mailbox: f.name, NumMessages: &messages, UIDNext: f.next, UIDValidity: f.validity,
		NumUnseen: &unseen, NumDeleted: &deleted, Size: &size, DeletedStorage: &deletedSize, NumRecent: &recent}
}

func (s *demoSession) Append(name string, r imap.LiteralReader, o *imap.AppendOptions) (*imap.AppendData, error) {
	octets, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	if int64(len(octets)) != r.Size() {
		return nil, io.ErrUnexpectedEOF // the connection ended within the message
	}
	date := o.Time
	if date.IsZero() {
		date = time.Now().Truncate(time.Second)
	}
	defer s.lock()()
	f, err := s.find(name, imap.ResponseCodeTryCreate)
	if err != nil {
		return nil, err
	}
	m := f.add(octets, date, o.Flags)
	return &imap.AppendData{UID: m.uid, UIDValidity: f.validity}, nil
}

func (s *demoSession) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	if s.view == nil {
		return nil
	}
	return s.view.Poll(w, allowExpunge)
}

func (s *demoSession) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	if s.view == nil {
		<-stop
		return nil
	}
	return s.view.Idle(w, stop)
}
