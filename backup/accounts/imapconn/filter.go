package imapconn

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"net"
	"restante/backup/accounts/peer"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// filter is the net.Conn that go-imap is given. Its Read takes in one answer
// of the server at a time and shows go-imap what go-imap can take of it,
// rewritten in one plain form; bodies are passed through unread and uncopied.
// Its Write is in writer.go.
type filter struct {
	sock  net.Conn // below TLS: closing it interrupts everything
	opts  *Options
	limit *limits
	in    *input
	src   *source
	pend  *pending
	out   *writer

	secrets *peer.Secrets

	closed  chan struct{}
	failing sync.Once
	why     atomic.Pointer[error]        // set before closed is closed
	inBody  atomic.Bool                  // the end came in the middle of a body
	counted atomic.Bool                  // see Conn.Counted
	labels  atomic.Pointer[func(Oddity)] // is told what Options.Odd is; nil: nobody

	// What follows belongs to the reading side.
	reading sync.Mutex
	queue   []piece // what go-imap is to be shown
	buf     []byte  // its text
	queued  int     // how much of buf is in queue
	fetch   *fetching
	current fetching // what fetch points to, kept for its memory
	name    []byte   // of the data item at hand
	raw     []byte   // its value
	spool   *spool   // bodies in queue read from it
	ending  []byte   // a tagged answer behind what was found
	found   found
	strange int   // answers since the last message or end of a command
	talk    int64 // octets of those before the one at hand, without bodies that may have been asked for
	work    int   // see limits.disorder
	alerts  int   // how many have been logged
	bye     *condition
	seed    maphash.Seed // of the sums of bodies
	epoch   uint64       // UIDVALIDITY of the folder that is open; 0: not known
}

// A piece is text, or n octets of a body, for go-imap.
type piece struct {
	text []byte
	body io.Reader
	n    int64
	// sum is of the octets of the body that were read, and of is whose they are.
	sum *maphash.Hash
	of  bodyOf
}

// goOn is what go-imap waits for after the header of a literal.
const goOn = "+ go on\r\n"

// show queues what was appended to buf since it was last called.
func (f *filter) show() {
	f.queue = append(f.queue, piece{text: f.buf[f.queued:]})
	f.queued = len(f.buf)
}

// Read gives go-imap text, or octets of a body, never both in one call.
func (f *filter) Read(p []byte) (int, error) {
	f.reading.Lock()
	defer f.reading.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	for {
		for len(f.queue) > 0 && len(f.queue[0].text) == 0 && f.queue[0].n == 0 {
			f.queue = f.queue[:copy(f.queue, f.queue[1:])]
		}
		if err := f.cause(); err != nil {
			if len(f.queue) > 0 && f.queue[0].n > 0 {
				f.inBody.Store(true)
			}
			f.spool.Close()
			return 0, err
		}
		if len(f.queue) == 0 {
			f.buf, f.queued = f.buf[:0], 0
			if f.spool != nil && f.fetch == nil {
				f.spool.Close()
				f.spool = nil
			}
			if err := f.step(); err != nil {
				f.fail(f.ended(err))
			}
			continue
		}
		q := &f.queue[0]
		if len(q.text) > 0 {
			n := copy(p, q.text)
			q.text = q.text[n:]
			return n, nil
		}
		n, err := q.body.Read(p[:min(int64(len(p)), q.n)])
		if q.n -= int64(n); n > 0 {
			q.sum.Write(p[:n])
			if q.n == 0 && !f.pend.gave(q.of, q.sum.Sum64()) {
				f.fail(twoBodies(q.of))
			}
			return n, nil
		}
		if err != nil {
			f.fail(f.ended(err))
		}
	}
}

// step deals with the next answer, or with what is left of the current one.
func (f *filter) step() error {
	switch {
	case f.fetch != nil:
		return f.fetchOn()
	case f.ending != nil:
		f.end()
		return nil
	}
	if w := f.pend.word(); w != nil {
		f.buf = append(f.buf, w...)
		f.show()
		return nil
	}
	if f.in.br.Buffered() == 0 && len(f.src.cur) == 0 {
		if err := f.src.more(false); err != nil || len(f.src.cur) == 0 {
			return err
		}
	}
	f.talk += f.in.spent
	f.in.spent = 0
	if err := f.talkative(); err != nil {
		return err
	}
	line, err := f.in.line()
	if err == errMore {
		return f.longAnswer(line)
	}
	if err != nil {
		return err
	}
	return f.answer(line)
}

// answer deals with the answer that begins with line.
func (f *filter) answer(line []byte) error {
	if f.strange++; f.strange > f.limit.answers {
		return broken("more than %d answers without a message or the end of a command", f.limit.answers)
	}
	if len(line) == 0 {
		return f.late()
	}
	if line[0] == '+' {
		if f.pend.goAhead() {
			f.buf = append(f.buf, goOn...)
			f.show()
		}
		return f.late()
	}
	if line[0] != '*' {
		return f.tagged(line)
	}
	s := &scan{in: f.in, b: line, i: 1}
	s.spaces()
	word := s.word()
	if n, ok := number(word, 32); ok {
		s.spaces()
		kind := s.word()
		if is(kind, "FETCH") {
			f.heard(Change)
			return f.fetchAnswer(s, uint32(n))
		}
		if err := f.late(); err != nil {
			return err
		}
		return f.numbered(s, uint32(n), kind)
	}
	if err := f.late(); err != nil {
		return err
	}
	var upper [12]byte
	if len(word) > len(upper) {
		return s.rest()
	}
	switch string(bytes.ToUpper(append(upper[:0], word...))) {
	case "OK", "NO", "BAD", "BYE", "PREAUTH":
		return f.untaggedCondition(line[1:])
	case "FLAGS":
		return f.flagsAnswer(s)
	case "LIST":
		f.heard(Change)
		return f.list(s, "LIST")
	case "LSUB":
		return f.list(s, "LSUB")
	case "STATUS":
		f.heard(Change)
		return f.status(s)
	case "SEARCH":
		return f.search(s)
	case "ESEARCH":
		return f.esearch(s)
	case "NAMESPACE":
		return f.namespace(s)
	case "CAPABILITY":
		return f.capability(s)
	case "QUOTA":
		return f.quota(s)
	case "QUOTAROOT":
		return f.quotaRoot(s)
	case "MYRIGHTS":
		return f.myRights(s)
	case "ACL":
		return f.acl(s)
	case "METADATA":
		return f.metadata(s)
	case "VANISHED": // RFC 7162 section 3.2.10
		f.heard(Change)
	}
	return s.rest() // VANISHED, ENABLED, ID, and what nobody has heard of
}

// numbered deals with "* n EXISTS" and its kind.
func (f *filter) numbered(s *scan, n uint32, kind []byte) error {
	if is(kind, "EXISTS") {
		f.counted.Store(true)
	}
	if is(kind, "EXISTS") || is(kind, "EXPUNGE") && n > 0 {
		f.heard(Change)
		f.buf = fmt.Appendf(f.buf, "* %d %s", n, bytes.ToUpper(kind))
		f.finish()
	}
	return s.rest()
}

// late says whether a command has been waiting for too long, whatever else
// the server has to say meanwhile.
func (f *filter) late() error {
	if f.pend.patience(f.opts.Idle, f.opts.Total) == overdue {
		return fmt.Errorf("%w: neither a message nor the end of a command for %v", ErrTimeout, f.opts.Total)
	}
	return nil
}

// asked notes that the server has sent something that was asked for.
func (f *filter) asked() {
	f.strange, f.talk = 0, 0
	f.pend.progress()
}

// talkative says whether the server has said too much that nobody waits for.
func (f *filter) talkative() error {
	if f.talk > f.limit.talk {
		return broken("answers of more than %d octets without a message or the end of a command", f.limit.talk)
	}
	return nil
}

// disordered adds to the work that numbers in a senseless order have cost
// go-imap, which is the square of their count.
func (f *filter) disordered(work int) error {
	if f.work += work; f.work > f.limit.disorder {
		return broken("messages come in a senseless order")
	}
	return nil
}

// ended says what the end of the connection means. io.EOF never gets through:
// in a body, go-imap would take it for the body's regular end.
func (f *filter) ended(err error) error {
	reset := f.bye != nil && errors.Is(err, syscall.ECONNRESET) // it had not read all that we sent
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || reset {
		if f.bye == nil {
			return fmt.Errorf("the server closed the connection: %w", io.ErrUnexpectedEOF)
		}
		err = fmt.Errorf("the server closed the connection: %s: %w", f.bye, io.ErrUnexpectedEOF)
		if f.bye.busy() {
			err = fmt.Errorf("%w: %w", ErrBusy, err)
		}
	}
	return err
}

// fail ends the connection. Only the first reason counts.
func (f *filter) fail(err error) {
	f.failing.Do(func() {
		err = f.secrets.Veil(err)
		f.why.Store(&err)
		close(f.closed)
		f.sock.Close()
	})
}

// cause says why the connection has ended, nil as long as it has not.
func (f *filter) cause() error {
	if p := f.why.Load(); p != nil {
		return *p
	}
	return nil
}

// Close is called by go-imap when it gives up, or after we did.
func (f *filter) Close() error {
	f.fail(errLibrary)
	return nil
}

func (f *filter) LocalAddr() net.Addr  { return f.sock.LocalAddr() }
func (f *filter) RemoteAddr() net.Addr { return f.sock.RemoteAddr() }

// Deadlines are ours alone. go-imap's are absolute: half a minute for an
// answer and five for a body, however well it proceeds.
func (f *filter) SetDeadline(time.Time) error      { return nil }
func (f *filter) SetWriteDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing either, except after an error in a body. The
// error goes to whoever reads the body, and go-imap's own goroutine goes on
// to look at a buffer that the body's reader may still be using (a data race
// in v2.0.0-beta.8). This is the first thing it calls, and it is the only
// one to call it; ending it here runs its deferred functions, which close the
// connection and fail all commands with io.ErrUnexpectedEOF.
func (f *filter) SetReadDeadline(time.Time) error {
	if f.inBody.CompareAndSwap(true, false) {
		runtime.Goexit()
	}
	return nil
}
