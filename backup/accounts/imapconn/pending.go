package imapconn

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// pending knows which commands are unanswered and what go-imap expects of
// their answers. The writing side enters commands, the reading side ticks
// them off.
type pending struct {
	mu       sync.Mutex
	commands map[string]*command
	entered  int
	fetches  []*fetchCommand // in the order in which they were sent
	awaiting *command        // sent the header of a literal, or IDLE, and wants a "+"
	words    [][]byte        // lines of our own for go-imap
	waited   time.Duration   // for the server, since the last message or end of a command
	lsub     bool            // the server has LSUB in place of LIST (SUBSCRIBED)
	wake     chan struct{}

	replacement string // for the next NOOP; empty: none
	opening     func() // is called before a folder is opened
}

// A command is one that go-imap has begun to send.
type command struct {
	tag, verb string
	number    int // in the order in which they were sent
	fetch     *fetchCommand
	folders   int // LIST answers so far
	listed    int // and their octets

	// What is below is guarded by pending.mu.
	complete bool          // all of it has been written; the server owes the answer
	own      chan struct{} // closed at the answer to a literal header of our own
	refused  []byte        // the tagged answer that came instead of a "+"
	idling   bool          // IDLE was answered with a "+", and DONE has not been sent
}

func newPending() *pending {
	return &pending{commands: map[string]*command{}, wake: make(chan struct{}, 1), opening: func() {}}
}

// enter adds a command that is about to be written.
func (p *pending) enter(line []byte) *command {
	tag, rest, _ := strings.Cut(string(line), " ")
	verb, args, _ := strings.Cut(rest, " ")
	verb = strings.ToUpper(verb)
	byUID := verb == "UID"
	if byUID {
		verb, args, _ = strings.Cut(args, " ")
		verb = strings.ToUpper(verb)
	}
	if p.lsub && verb == "LIST" && strings.HasPrefix(args, selectSubscribed) {
		verb = "LSUB"
	}
	c := &command{tag: tag, verb: verb}
	if verb == "FETCH" || verb == "STORE" {
		set, items, _ := strings.Cut(args, " ")
		c.fetch = &fetchCommand{byUID: byUID}
		if verb == "FETCH" {
			c.fetch.want = wanted(items)
		}
		// A set that does not parse ("$") is empty for go-imap too.
		c.fetch.set, _ = parseNumbers([]byte(set), true)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if verb == "SELECT" || verb == "EXAMINE" {
		p.opening()
	}
	p.entered++
	c.number = p.entered
	p.commands[tag] = c
	if c.fetch != nil {
		p.fetches = append(p.fetches, c.fetch)
	}
	return c
}

// sent notes that a command is about to be written to its end.
func (p *pending) sent(c *command) {
	p.mu.Lock()
	c.complete = true
	if c.verb == "IDLE" {
		p.awaiting = c
	}
	p.mu.Unlock()
	p.rouse()
}

// owed reports whether the server has something to answer.
func (p *pending) owed() bool {
	for _, c := range p.commands {
		if c.complete {
			return true
		}
	}
	return p.awaiting != nil
}

// leave removes a command that has been answered.
func (p *pending) leave(c *command) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.remove(c)
}

func (p *pending) remove(c *command) {
	delete(p.commands, c.tag)
	for i, f := range p.fetches {
		if f == c.fetch {
			p.fetches = append(p.fetches[:i:i], p.fetches[i+1:]...)
			break
		}
	}
	p.waited = 0
}

// progress notes that the server has sent something that was asked for.
func (p *pending) progress() {
	p.mu.Lock()
	p.waited = 0
	p.mu.Unlock()
}

// passed notes that the server was waited for.
func (p *pending) passed(d time.Duration) {
	p.mu.Lock()
	p.waited += d
	p.mu.Unlock()
}

func (p *pending) byTag(tag []byte) *command {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.commands[string(tag)]
}

// one returns the unanswered command with one of the verbs that was sent first.
func (p *pending) one(verbs ...string) *command {
	p.mu.Lock()
	defer p.mu.Unlock()
	var first *command
	for _, c := range p.commands {
		if slices.Contains(verbs, c.verb) && (first == nil || c.number < first.number) {
			first = c
		}
	}
	return first
}

// say gives go-imap a line as if it came from the server.
func (p *pending) say(line []byte) {
	p.mu.Lock()
	p.words = append(p.words, line)
	p.mu.Unlock()
	p.rouse()
}

// word takes what say left.
func (p *pending) word() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.words) == 0 {
		return nil
	}
	w := p.words[0]
	p.words = p.words[1:]
	return w
}

func (p *pending) rouse() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// await notes that c is about to send the header of a literal. With own, the
// literal is one that go-imap does not know of, and what is returned is
// closed when the answer is there.
func (p *pending) await(c *command, own bool) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.rouse()
	p.awaiting = c
	p.waited = 0
	c.own = nil
	if own {
		c.own = make(chan struct{})
	}
	return c.own
}

// goAhead takes a "+" from the server and reports whether go-imap waits for it.
func (p *pending) goAhead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.awaiting
	p.awaiting = nil
	if c == nil {
		return false
	}
	c.idling = c.verb == "IDLE"
	if c.own != nil {
		close(c.own)
		c.own = nil
		return false
	}
	return true
}

// done notes that IDLE is about to be ended.
func (p *pending) done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.commands {
		c.idling = false
	}
}

// idles reports whether a command is an IDLE that nobody has ended.
func (p *pending) idles(c *command) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return c.idling
}

// unsent reports whether a command still waits for leave to send a literal.
func (p *pending) unsent(c *command) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.awaiting == c && c.verb != "IDLE"
}

// refuse takes the tagged answer of a command that came instead of the "+" it
// awaits, and reports whether it is to be kept until the writing side has got
// to the end of the command. go-imap closes a connection whose server says NO
// to the header of a literal; so go-imap is told to go on, what it writes is
// swallowed, and only then it is shown the NO.
func (p *pending) refuse(c *command, answer []byte) (kept, tell bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.awaiting != c {
		return false, false
	}
	p.awaiting = nil
	if c.verb == "IDLE" {
		return false, false
	}
	p.remove(c)
	c.refused = answer
	if c.own != nil {
		close(c.own)
		c.own = nil
		return true, false
	}
	return true, true
}

func (p *pending) refusal(c *command) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return c.refused
}

// overdue is the patience that is left when there is none.
const overdue = time.Nanosecond

// patience is how long the server may be silent between two answers; 0 is for
// ever.
func (p *pending) patience(idle, total time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.owed() {
		return 0
	}
	for _, c := range p.commands {
		if c.complete && c.verb == "IDLE" {
			// RFC 9051 section 6.3.13: a client is to renew it every 29
			// minutes, and go-imap does so.
			return max(idle, 30*time.Minute)
		}
	}
	return min(idle, max(overdue, total-p.waited))
}
