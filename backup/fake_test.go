package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"restante/storage"
)

// A fakeServer is a Source whose misbehaviour can be chosen. The suite on a
// real server is in cmd/restante.
type fakeServer struct {
	mu       sync.Mutex
	folders  map[string]*fakeFolder
	parallel int
	noModSeq bool

	// What goes wrong; each may be nil. Called with mu held.
	openErr  func(folder string) error
	fetchErr func(folder string, uids []uint32) error
	leaveOut func(folder string, uid uint32) bool // of a FETCH
	onFetch  func(folder string, uid uint32)
	onEach   func(f *Fetched) // not with mu held
	uidsErr  error
	surveyed func(folder string) error // before UIDs
	listErr  error                     // with the list

	fetched, headers, opened int
	known                    Known // of the folder opened last
}

type fakeFolder struct {
	validity, next uint32
	modseq         uint64
	messages       map[uint32]*fakeMessage
	noSelect       bool
	subscribed     bool
}

type fakeMessage struct {
	body   string
	flags  []string
	date   time.Time
	modseq uint64
	size   int64 // what the server says; 0: the truth
}

func newFake() *fakeServer { return &fakeServer{folders: map[string]*fakeFolder{}, parallel: 3} }

func (s *fakeServer) folder(name string) *fakeFolder {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.folders[name]
	if f == nil {
		f = &fakeFolder{validity: uint32(1000 + len(s.folders)), next: 1, modseq: 1, messages: map[uint32]*fakeMessage{}}
		s.folders[name] = f
	}
	return f
}

// deliver puts n new messages into a folder.
func (s *fakeServer) deliver(name string, n int) {
	f := s.folder(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		f.modseq++
		body := fmt.Sprintf("From: a@example.org\r\nSubject: %s %d\r\nMessage-ID: <%s.%d.%d@x>\r\n\r\n%s", name, f.next, name, f.validity, f.next,
			strings.Repeat(fmt.Sprintf("line of %d\r\n", f.next), 20+int(f.next)%40))
		f.messages[f.next] = &fakeMessage{body: body, flags: []string{`\Seen`}, date: time.Unix(1_700_000_000+int64(f.next), 0).UTC(), modseq: f.modseq}
		f.next++
	}
}

func (s *fakeServer) expunge(name string, uids ...uint32) {
	f := s.folder(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	f.modseq++
	for _, uid := range uids {
		delete(f.messages, uid)
	}
}

func (s *fakeServer) flag(name string, uid uint32, flags ...string) {
	f := s.folder(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	f.modseq++
	f.messages[uid].flags, f.messages[uid].modseq = flags, f.modseq
}

func (f *fakeFolder) status(noModSeq bool) *Status {
	s := &Status{UIDValidity: f.validity, UIDNext: f.next, HighestModSeq: f.modseq, Messages: uint32(len(f.messages))}
	if noModSeq {
		s.HighestModSeq = 0
	}
	return s
}

func (s *fakeServer) Kind() string  { return "fake" }
func (s *fakeServer) Parallel() int { return s.parallel }
func (s *fakeServer) Close() error  { return nil }

func (s *fakeServer) List(context.Context) ([]Listed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Listed
	for _, name := range slices.Sorted(maps.Keys(s.folders)) {
		f := s.folders[name]
		list = append(list, Listed{Levels: storage.FolderLevels(name), Delimiter: "/", Subscribed: f.subscribed, NoSelect: f.noSelect, Status: f.status(s.noModSeq)})
	}
	return list, s.listErr
}

func (s *fakeServer) Open(_ context.Context, l Listed, known Known) (Mailbox, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known = known
	name := storage.FolderName(l.Levels)
	if s.openErr != nil {
		if err := s.openErr(name); err != nil {
			return nil, err
		}
	}
	f := s.folders[name]
	if f == nil {
		return nil, ErrGone
	}
	s.opened++
	return &fakeMailbox{s: s, f: f, name: name, status: *f.status(s.noModSeq)}, nil
}

type fakeMailbox struct {
	s      *fakeServer
	f      *fakeFolder
	name   string
	status Status
}

func (m *fakeMailbox) Status() Status { return m.status }
func (m *fakeMailbox) Close() error   { return nil }

func (m *fakeMailbox) UIDs(context.Context) ([]uint32, error) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	if m.s.surveyed != nil {
		if err := m.s.surveyed(m.name); err != nil {
			return nil, err
		}
	}
	return slices.Sorted(maps.Keys(m.f.messages)), m.s.uidsErr
}

func (m *fakeMailbox) Flags(_ context.Context, since uint64, each func(uint32, []string)) error {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	for uid, msg := range m.f.messages {
		if msg.modseq > since {
			each(uid, msg.flags)
		}
	}
	return nil
}

func (m *fakeMailbox) Fetch(ctx context.Context, uids []uint32, each func(*Fetched) error) error {
	m.s.mu.Lock()
	if m.s.fetchErr != nil {
		if err := m.s.fetchErr(m.name, uids); err != nil {
			m.s.mu.Unlock()
			return err
		}
	}
	m.s.mu.Unlock()
	for _, uid := range uids {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		m.s.mu.Lock()
		if m.s.onFetch != nil {
			m.s.onFetch(m.name, uid)
		}
		msg := m.f.messages[uid]
		if msg == nil || m.s.leaveOut != nil && m.s.leaveOut(m.name, uid) {
			m.s.mu.Unlock()
			continue
		}
		m.s.fetched++
		f := &Fetched{UID: uid, Flags: msg.flags, InternalDate: msg.date, Body: strings.NewReader(msg.body), Size: int64(len(msg.body))}
		m.s.mu.Unlock()
		if m.s.onEach != nil {
			m.s.onEach(f)
		}
		if err := each(f); err != nil {
			return err
		}
	}
	return nil
}

func (m *fakeMailbox) Headers(_ context.Context, uids []uint32, each func(*Header) error) error {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	for _, uid := range uids {
		msg := m.f.messages[uid]
		if msg == nil {
			continue
		}
		m.s.headers++
		size := int64(len(msg.body))
		if msg.size != 0 {
			size = msg.size
		}
		end := bytes.Index([]byte(msg.body), []byte("\r\n\r\n")) + 4
		if err := each(&Header{UID: uid, InternalDate: msg.date, Size: size, Octets: []byte(msg.body[:end])}); err != nil {
			return err
		}
	}
	return nil
}

var errConnection = errors.New("connection lost")
