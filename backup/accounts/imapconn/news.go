package imapconn

import (
	"errors"

	"github.com/emersion/go-imap/v2"
)

// News is what a server says of changes that nobody has asked for just then:
// in IDLE (RFC 2177), after NOTIFY (RFC 5465), or between commands.
type News int

const (
	// Change: messages came, went or were flagged, or folders are others than
	// they were. Which ones is not told; the next listing tells.
	Change News = iota
	// Overflow: there was too much to tell, and after NOTIFY nothing more will
	// be told (RFC 5465 section 5.8).
	Overflow
)

// heard passes on news, unless a command is under way whose answer it may be.
func (f *filter) heard(n News) {
	if f.opts.News != nil && f.pend.listening() {
		f.opts.News(n)
	}
}

// listening says that no command is under way but those that wait for news, or
// tell of nothing else.
func (p *pending) listening() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.commands {
		switch c.verb {
		case "IDLE", "NOOP", notify:
		default:
			return false
		}
	}
	return true
}

// notify is the verb that go-imap does not know.
const notify = "NOTIFY"

// CanNotify says that the server offers NOTIFY. It may refuse it all the same.
func (c *Conn) CanNotify() bool { return c.notify }

// Notify asks the server to tell, whatever folder is open or none is, of what
// happens in all folders of the account's own, until the connection ends (RFC
// 5465 section 6.3): of messages that come and go and, where it can, of flags
// and of the folders themselves. Options.News hears of it. Nothing else may be
// under way. A refusal is an *imap.Error.
func (c *Conn) Notify() error {
	const messages = "MessageNew MessageExpunge"
	var err error
	for _, events := range []string{messages + " FlagChange MailboxName SubscriptionChange", messages + " FlagChange", messages} {
		// A server that does not know an event refuses all of them (section 5).
		c.f.pend.replaceNoop(notify + " SET (PERSONAL (" + events + "))")
		err = c.Explain(c.Noop().Wait())
		if no, ok := errors.AsType[*imap.Error](err); !ok || no.Type != imap.StatusResponseTypeNo || errors.Is(err, ErrBusy) {
			break
		}
	}
	return err
}

// replaceNoop has the next NOOP of go-imap go out as another command, the
// answer to which is like that to a NOOP.
func (p *pending) replaceNoop(command string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.replacement = command
}

// replaced returns the line for a NOOP that was entered.
func (p *pending) replaced(c *command, line []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.replacement == "" {
		return line
	}
	line = append([]byte(c.tag+" "), p.replacement...)
	p.replacement, c.verb = "", notify
	return line
}
