package imaptest

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// An Account is a server that is well: folders with messages, in memory. Make
// one with [NewAccount], change it while it runs, and put what is wrong with a
// server into the handlers of its [Account.Script].
//
// What a session was told of a folder stays true for it until the end of a
// command, where it is told of what came and went, as real servers do.
type Account struct {
	Caps      string
	Delimiter string // between levels; empty: none
	Namespace string // the answer to NAMESPACE

	mu       sync.Mutex // guards what follows
	folders  []*Folder
	sessions map[*Conn]*session
}

// A Folder is one of an Account. Its fields may be changed with [Account.Do].
type Folder struct {
	Name           string // on the wire
	Attrs          string // of LIST, without \Subscribed
	Subscribed     bool
	Validity, Next uint32
	ModSeq         uint64
	Messages       []*Message // in the order of their UIDs
	PermanentFlags string
}

// A Message is one of a Folder.
type Message struct {
	UID    uint32
	Flags  string // as in an answer, between the parentheses
	Date   string // as in an answer, with its quotes
	Body   string
	Labels string // Gmail's, as in an answer, between the parentheses
	// GmailID is the message's in all folders; empty: it is not told.
	GmailID string
	modSeq  uint64
}

// session is what a client was told of the folder that it has open.
type session struct {
	folder *Folder
	told   []*Message
	flags  map[*Message]string
}

// NewAccount makes an account with an empty INBOX.
func NewAccount(caps string) *Account {
	a := &Account{Caps: "IMAP4rev1 " + caps, Delimiter: "/", Namespace: `(("" "/")) NIL NIL`, sessions: map[*Conn]*session{}}
	a.Folder("INBOX")
	return a
}

// Do runs f while no command runs.
func (a *Account) Do(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

// Folder returns the folder of that name, and makes it if there is none.
func (a *Account) Folder(name string) *Folder {
	a.mu.Lock()
	defer a.mu.Unlock()
	if f := a.find(name); f != nil {
		return f
	}
	return a.create(name)
}

func (a *Account) create(name string) *Folder {
	f := &Folder{Name: name, Validity: uint32(1000 + len(a.folders)), Next: 1, ModSeq: 1, PermanentFlags: `\Answered \Flagged \Deleted \Seen \Draft \*`}
	a.folders = append(a.folders, f)
	return f
}

// Folders returns all folders.
func (a *Account) Folders() []*Folder {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.folders)
}

// Remove removes a folder.
func (a *Account) Remove(name string) {
	a.Do(func() { a.folders = slices.DeleteFunc(a.folders, func(f *Folder) bool { return f.Name == name }) })
}

func (a *Account) find(name string) *Folder {
	for _, f := range a.folders {
		if f.Name == name || strings.EqualFold(f.Name, "INBOX") && strings.EqualFold(name, "INBOX") {
			return f
		}
	}
	return nil
}

// Add delivers a message.
func (a *Account) Add(folder, body, flags string) *Message {
	f := a.Folder(folder)
	a.mu.Lock()
	defer a.mu.Unlock()
	return f.add(body, flags, "")
}

func (f *Folder) add(body, flags, date string) *Message {
	m := &Message{UID: f.Next, Body: body, Flags: flags, Date: date}
	if date == "" {
		m.Date = fmt.Sprintf(`"%2d-Nov-2023 22:13:%02d +0100"`, 1+m.UID%28, m.UID%60)
	}
	f.Next++
	f.ModSeq++
	m.modSeq = f.ModSeq
	f.Messages = append(f.Messages, m)
	return m
}

// Expunge removes messages.
func (a *Account) Expunge(folder string, uids ...uint32) {
	f := a.Folder(folder)
	a.Do(func() {
		f.ModSeq++
		f.Messages = slices.DeleteFunc(f.Messages, func(m *Message) bool { return slices.Contains(uids, m.UID) })
	})
}

// Flag sets the flags of a message.
func (a *Account) Flag(folder string, uid uint32, flags string) {
	f := a.Folder(folder)
	a.Do(func() {
		for _, m := range f.Messages {
			if m.UID == uid {
				f.ModSeq++
				m.Flags, m.modSeq = flags, f.ModSeq
			}
		}
	})
}

// Label sets the labels of a message.
func (a *Account) Label(folder string, uid uint32, labels string) {
	f := a.Folder(folder)
	a.Do(func() {
		for _, m := range f.Messages {
			if m.UID == uid {
				f.ModSeq++
				m.Labels, m.modSeq = labels, f.ModSeq
			}
		}
	})
}

func (a *Account) has(capability string) bool {
	return slices.Contains(strings.Fields(strings.ToUpper(a.Caps)), capability)
}

// A Handler answers a command.
type Handler = func(c *Conn, cmd Command)

// Script returns the account's own handlers, for a server.
func (a *Account) Script() Script {
	s := Script{Caps: a.Caps, Handle: map[string]Handler{}}
	for name, h := range map[string]Handler{
		"NAMESPACE": a.namespace, "LIST": a.list, "LSUB": a.lsub, "STATUS": a.status,
		"SELECT": a.open, "EXAMINE": a.open, "UNSELECT": a.shut, "NOOP": a.noop,
		"UID SEARCH": a.search, "UID FETCH": a.fetch, "UID STORE": a.store,
		"CREATE": a.createCommand, "SUBSCRIBE": a.subscribe, "APPEND": a.append,
	} {
		s.Handle[name] = func(c *Conn, cmd Command) {
			a.mu.Lock()
			defer a.mu.Unlock()
			h(c, cmd)
		}
	}
	return s
}

// Rewrite is a handler that answers what another does, changed by change.
func Rewrite(h Handler, change func(cmd Command, answer string) string) Handler {
	return func(c *Conn, cmd Command) {
		was := c.Conn
		b := &kept{Conn: was}
		c.Conn = b
		h(c, cmd)
		c.Conn = was
		io.WriteString(c.Conn, change(cmd, b.String()))
	}
}

// kept keeps what is written.
type kept struct {
	net.Conn
	strings.Builder
}

func (k *kept) Write(p []byte) (int, error) { return k.Builder.Write(p) }

// end tells the session what happened to its folder, and ends the command.
func (a *Account) end(c *Conn, cmd Command) {
	if s := a.sessions[c]; s != nil {
		s.tell(c)
	}
	c.OK(cmd)
}

func (s *session) tell(c *Conn) {
	for i := len(s.told) - 1; i >= 0; i-- {
		if !slices.Contains(s.folder.Messages, s.told[i]) {
			c.Say("* %d EXPUNGE\r\n", i+1)
			s.told = slices.Delete(s.told, i, i+1)
		}
	}
	if len(s.folder.Messages) > len(s.told) {
		s.told = slices.Clone(s.folder.Messages)
		c.Say("* %d EXISTS\r\n", len(s.told))
	}
	for i, m := range s.told {
		if was, ok := s.flags[m]; ok && was != m.Flags {
			c.Say("* %d FETCH (FLAGS (%s))\r\n", i+1, m.Flags)
		}
		s.flags[m] = m.Flags
	}
}

func (a *Account) open(c *Conn, cmd Command) {
	delete(a.sessions, c)
	name, rest := Name(cmd.Args)
	f := a.find(name)
	if f == nil || noSelect(f) {
		c.Say("%s NO [NONEXISTENT] there is no %s\r\n", cmd.Tag, name)
		return
	}
	s := &session{folder: f, told: slices.Clone(f.Messages), flags: map[*Message]string{}}
	a.sessions[c] = s
	c.Say("* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft)\r\n* OK [PERMANENTFLAGS (%s)] ok\r\n", f.PermanentFlags)
	c.Say("* %d EXISTS\r\n* 0 RECENT\r\n* OK [UIDVALIDITY %d] ok\r\n* OK [UIDNEXT %d] ok\r\n", len(s.told), f.Validity, f.Next)
	if a.has("CONDSTORE") && strings.Contains(rest, "CONDSTORE") {
		c.Say("* OK [HIGHESTMODSEQ %d] ok\r\n", f.ModSeq)
	}
	how := "READ-WRITE"
	if cmd.Name == "EXAMINE" {
		how = "READ-ONLY"
	}
	c.Say("%s OK [%s] done\r\n", cmd.Tag, how)
}

func noSelect(f *Folder) bool {
	return strings.Contains(f.Attrs, `\Noselect`) || strings.Contains(f.Attrs, `\NonExistent`)
}

func (a *Account) shut(c *Conn, cmd Command) {
	delete(a.sessions, c)
	c.OK(cmd)
}

func (a *Account) noop(c *Conn, cmd Command) { a.end(c, cmd) }

func (a *Account) search(c *Conn, cmd Command) {
	s := a.sessions[c]
	if s == nil {
		c.Say("%s BAD no folder is open\r\n", cmd.Tag)
		return
	}
	var uids []string
	for _, m := range s.told {
		uids = append(uids, strconv.FormatUint(uint64(m.UID), 10))
	}
	switch {
	case !strings.Contains(cmd.Args, "RETURN"):
		c.Say("* SEARCH %s\r\n", strings.Join(uids, " "))
	case len(uids) == 0:
		c.Say("* ESEARCH (TAG %q) UID\r\n", cmd.Tag)
	default:
		c.Say("* ESEARCH (TAG %q) UID ALL %s\r\n", cmd.Tag, strings.Join(uids, ","))
	}
	a.end(c, cmd)
}
