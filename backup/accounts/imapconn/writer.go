package imapconn

import (
	"bytes"
	"errors"
	"net"
	"strconv"
	"time"
)

// writer reads along with what go-imap writes. go-imap knows only literals
// that wait for a "+" from the server (RFC 9051 section 4.3); where the server
// can do without (LITERAL+ and LITERAL-, RFC 7888), the "+" comes from here,
// and APPENDs follow each other without a pause.
//
// go-imap writes one command at a time, so nothing here needs a lock.
type writer struct {
	pend       *pending
	to         *patientWriter
	closed     <-chan struct{}
	plus       bool // LITERAL+
	minus      bool // LITERAL-
	labels     bool // Gmail's: X-GM-EXT-1
	line       []byte
	cmd        *command // whose end has not been written
	literal    int64    // octets of a literal that go-imap has still to write
	swallowing bool     // the server has refused the command
}

// literalMinus is the size up to which LITERAL- lets a client go on.
const literalMinus = 4096

// Write takes what go-imap wants to be sent.
func (f *filter) Write(p []byte) (int, error) {
	if err := f.cause(); err != nil {
		return 0, err
	}
	if err := f.out.take(p); err != nil {
		if !errors.Is(err, ErrTimeout) {
			f.lastWords()
		}
		f.fail(err)
		return 0, f.cause()
	}
	return len(p), nil
}

// lastWords waits a moment for the reading side to come to the end of a connection
// that takes nothing more. What the server said before it hung up, as that it is
// busy, says more than that.
func (f *filter) lastWords() {
	select {
	case <-f.closed:
	case <-time.After(5 * time.Second):
	}
}

func (w *writer) take(p []byte) error {
	for len(p) > 0 {
		if w.literal > 0 {
			w.swallowing = w.swallowing || w.pend.refusal(w.cmd) != nil
			n := min(int64(len(p)), w.literal)
			if !w.swallowing {
				if _, err := w.to.Write(p[:n]); err != nil {
					return err
				}
			}
			w.literal -= n
			p = p[n:]
			continue
		}
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			w.line = append(w.line, p...)
			return nil
		}
		w.line = append(w.line, p[:end+1]...)
		p = p[end+1:]
		if err := w.takeLine(bytes.TrimRight(w.line, "\r\n")); err != nil {
			return err
		}
		w.line = w.line[:0]
	}
	return nil
}

// takeLine sends a line: a command, or what follows a literal in one.
func (w *writer) takeLine(line []byte) error {
	if w.cmd == nil && string(line) == "DONE" { // the end of IDLE
		w.pend.done()
		if _, err := w.to.Write([]byte("DONE\r\n")); err != nil {
			return err
		}
		return w.to.Flush()
	}
	if w.cmd == nil {
		w.cmd = w.pend.enter(line)
		switch {
		case w.cmd.verb == "LSUB":
			line = asLSUB(line)
		case w.labels && w.cmd.verb == "FETCH":
			line = withGmails(line)
		case w.labels && w.cmd.verb == "STORE":
			line = asLabels(line)
		case w.cmd.verb == "GETMETADATA":
			line = withDepthFirst(line)
		}
		if w.cmd.verb == "NOOP" {
			line = w.pend.replaced(w.cmd, line)
		}
	}
	w.swallowing = w.swallowing || w.pend.refusal(w.cmd) != nil
	n, text, hasLiteral := cutLiteral(line)
	if err := w.send(text); err != nil {
		return err
	}
	if hasLiteral {
		return w.header(n, false)
	}
	return w.end()
}

// end sends the end of a command.
func (w *writer) end() error {
	cmd := w.cmd
	w.cmd = nil
	if w.swallowing {
		w.swallowing = false
		w.pend.say(w.pend.refusal(cmd))
		return nil
	}
	w.pend.sent(cmd)
	if _, err := w.to.Write([]byte("\r\n")); err != nil {
		return err
	}
	return w.to.Flush()
}

// header sends the header of a literal of n octets and waits for leave to go
// on, or has go-imap wait. With own, the literal is one that go-imap does not
// know of.
func (w *writer) header(n int64, own bool) error {
	if !own {
		w.literal = n
	}
	if w.swallowing {
		if !own {
			w.pend.say([]byte(goOn))
		}
		return nil
	}
	b := append([]byte("{"), strconv.FormatInt(n, 10)...)
	if w.plus || w.minus && n <= literalMinus {
		if _, err := w.to.Write(append(b, "+}\r\n"...)); err != nil {
			return err
		}
		if !own {
			w.pend.say([]byte(goOn))
		}
		return nil
	}
	answered := w.pend.await(w.cmd, own)
	if _, err := w.to.Write(append(b, "}\r\n"...)); err != nil {
		return err
	}
	if err := w.to.Flush(); err != nil || !own {
		return err
	}
	select {
	case <-answered:
		w.swallowing = w.pend.refusal(w.cmd) != nil
		return nil
	case <-w.closed:
		return net.ErrClosed // the connection has its own, earlier cause
	}
}

// send sends the text of a command, aliases of folder names replaced by the
// names.
func (w *writer) send(text []byte) error {
	if takesFolder[w.cmd.verb] {
		for {
			before, name, after, ok := cutAlias(text)
			if !ok {
				break
			}
			if err := w.write(before); err != nil {
				return err
			}
			var err error
			if wantsLiteral(name) {
				if err = w.header(int64(len(name)), true); err == nil {
					err = w.write(name)
				}
			} else {
				err = w.write(quote(nil, name))
			}
			if err != nil {
				return err
			}
			text = after
		}
	}
	return w.write(text)
}

func (w *writer) write(b []byte) error {
	if w.swallowing || len(b) == 0 {
		return nil
	}
	_, err := w.to.Write(b)
	return err
}

// cutAlias finds a quoted string that is an alias.
func cutAlias(text []byte) (before, name, after []byte, ok bool) {
	const start = `"` + aliasPrefix
	for from := 0; ; {
		i := bytes.Index(text[from:], []byte(start))
		if i < 0 {
			return nil, nil, nil, false
		}
		i += from
		end := bytes.IndexByte(text[i+1:], '"')
		if end < 0 {
			return nil, nil, nil, false
		}
		if name, ok := RawName(string(text[i+1 : i+1+end])); ok && (i == 0 || text[i-1] == ' ') {
			return text[:i], name, text[i+1+end+1:], true
		}
		from = i + 1
	}
}

// cutLiteral finds the header of a literal at the end of a line. No quoted
// string ends like one.
func cutLiteral(line []byte) (n int64, text []byte, ok bool) {
	open := bytes.LastIndexByte(line, '{')
	if open < 0 || line[len(line)-1] != '}' || open > 0 && line[open-1] != ' ' && line[open-1] != '(' {
		return 0, line, false
	}
	u, ok := number(bytes.TrimSuffix(line[open+1:len(line)-1], []byte("+")), 63)
	if !ok {
		return 0, line, false
	}
	return int64(u), line[:open], true
}
