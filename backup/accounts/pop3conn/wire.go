package pop3conn

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"restante/backup/accounts/peer"
	"strings"
	"sync"
	"time"
)

// A wire is the connection as the library sees it: what it writes goes to the
// server, and what it reads are the server's answers, each read here first. A
// message goes to the sink of its command, and a listing line by line to row;
// the library sees empty ones.
//
// One goroutine uses a wire; fail may be called from others.
type wire struct {
	net.Conn // TCP, or TLS over it
	opts     *Options
	br       *bufio.Reader
	secrets  peer.Secrets // what the server was told

	line    []byte    // of what the library writes, without an end yet
	pending []request // commands whose answers are due
	out     []byte    // what the library has still to read
	buf     []byte    // behind out
	last    status    // the answer read last
	sink    func(command string) io.Writer
	row     func(line []byte) // gets the lines of a listing
	body    Body              // the message read last

	patience time.Duration // how long the server may be silent now
	waited   time.Duration // for this answer, since its first octet
	came     int64         // octets meanwhile

	mu    sync.Mutex // guards what follows
	cause error      // why the connection has ended
}

// A request is a command whose answer is due.
type request struct {
	text string
	kind answerKind
}

// An answerKind says what follows the first line of an answer, if it is +OK.
type answerKind int

const (
	oneLine answerKind = iota
	listing            // lines, then a dot
	message            // likewise, and a message
)

// kindOf says what the answer to a command is (RFC 1939, RFC 2449).
func kindOf(command string) answerKind {
	verb, argument, _ := strings.Cut(command, " ")
	switch strings.ToUpper(verb) {
	case "RETR", "TOP":
		return message
	case "CAPA":
		return listing
	case "LIST", "UIDL":
		if argument == "" {
			return listing
		}
	}
	return oneLine
}

func newWire(conn net.Conn, o *Options) *wire {
	w := &wire{Conn: conn, opts: o, patience: o.Idle}
	w.br = bufio.NewReaderSize(readerFunc(w.receive), max(o.limits.line, 16)+2)
	return w
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// receive reads from the server as patiently as the options say.
func (w *wire) receive(p []byte) (int, error) {
	began := time.Now()
	w.SetReadDeadline(began.Add(w.patience))
	n, err := w.Conn.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("%w: it was silent for %v", ErrTimeout, w.patience)
	}
	if w.came > 0 {
		w.waited += time.Since(began)
	}
	w.came += int64(n)
	if w.waited >= w.opts.limits.rate && w.opts.MinRate > 0 {
		if float64(w.came) < w.waited.Seconds()*float64(w.opts.MinRate) && err == nil {
			err = fmt.Errorf("%w: it sent %d octets in %v", ErrTimeout, w.came, w.waited.Round(time.Second))
		}
		w.waited, w.came = 0, 1
	}
	return n, err
}

// fail ends the connection; the first reason stays.
func (w *wire) fail(err error) {
	w.mu.Lock()
	if w.cause == nil {
		w.cause = err
	}
	w.mu.Unlock()
	w.Conn.Close()
}

// err says why the connection has ended; nil if it has not.
func (w *wire) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cause
}

// failed ends the connection and returns the reason, in plain words.
func (w *wire) failed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("the server closed the connection: %w", io.ErrUnexpectedEOF)
	}
	w.fail(err)
	return w.err()
}

// Write sends what the library writes, a whole line at a time.
func (w *wire) Write(p []byte) (int, error) {
	if err := w.err(); err != nil {
		return 0, err
	}
	w.line = append(w.line, p...)
	end := bytes.LastIndexByte(w.line, '\n') + 1
	if end == 0 {
		return len(p), nil
	}
	for text := range bytes.Lines(w.line[:end]) {
		command := string(bytes.TrimRight(text, "\r\n"))
		w.pending = append(w.pending, request{command, kindOf(command)})
	}
	if err := w.send(w.line[:end]); err != nil {
		return 0, err
	}
	w.line = append(w.line[:0], w.line[end:]...)
	return len(p), nil
}

func (w *wire) send(b []byte) error {
	w.SetWriteDeadline(time.Now().Add(w.opts.Idle))
	_, err := w.Conn.Write(b)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return w.failed(fmt.Errorf("%w: it took nothing of what was sent for %v", ErrTimeout, w.opts.Idle))
	case err != nil:
		return w.failed(fmt.Errorf("send to the server: %w", err))
	}
	return nil
}

// Read gives the library its answers.
func (w *wire) Read(p []byte) (int, error) {
	if len(w.out) == 0 {
		if err := w.err(); err != nil {
			return 0, err
		}
		if err := w.answer(); err != nil {
			return 0, w.failed(err)
		}
	}
	n := copy(p, w.out)
	w.out = w.out[n:]
	return n, nil
}

// answer reads the next answer and puts what the library is to see of it into
// out.
func (w *wire) answer() error {
	if len(w.pending) == 0 {
		return broken("an answer where none is due")
	}
	r := w.pending[0]
	w.pending = w.pending[1:]
	w.buf = w.buf[:0]
	w.begin()
	s, err := w.status()
	if err != nil {
		return err
	}
	w.last = s
	w.say(s)
	if s.ok {
		switch r.kind {
		case listing:
			row := w.row
			if row == nil {
				row = func([]byte) {}
			}
			err = w.lines(w.opts.limits.listing, row)
			w.buf = append(w.buf, ".\r\n"...)
		case message:
			err = w.message(r.text)
			w.buf = append(w.buf, ".\r\n"...)
		}
	}
	w.out = w.buf
	return err
}

// say shows the library a status line in the form that it understands.
func (w *wire) say(s status) {
	word := "-ERR"
	if s.ok {
		word = "+OK"
	}
	w.buf = append(w.buf, word...)
	if s.text != "" {
		w.buf = append(append(w.buf, ' '), s.text...)
	}
	w.buf = append(w.buf, "\r\n"...)
}

// begin begins with an answer.
func (w *wire) begin() { w.waited, w.came = 0, int64(w.br.Buffered()) }

// status reads a status line.
func (w *wire) status() (status, error) {
	line, err := w.readLine()
	if err != nil {
		return status{}, err
	}
	return parseStatus(string(line), &w.secrets)
}

// readLine reads a line that is not of a message, and returns it without its
// end, CRLF or a lone LF. It is good until the next read.
func (w *wire) readLine() ([]byte, error) {
	b, err := w.br.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		return nil, broken("a line of more than %d octets", w.opts.limits.line)
	}
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b[:len(b)-1], []byte("\r")), nil
}

// lines reads the lines of a listing to its end, of most octets at most. The
// dots before dots stay.
func (w *wire) lines(most int, each func(line []byte)) error {
	for total := 0; ; {
		line, err := w.readLine()
		if err != nil {
			return err
		}
		if string(line) == "." {
			return nil
		}
		if total += len(line) + 2; total > most {
			return broken("a list of more than %d octets", most)
		}
		each(line)
	}
}

// message reads a message into the sink of its command.
func (w *wire) message(command string) error {
	var sink io.Writer = io.Discard
	if w.sink != nil {
		sink = w.sink(command)
	}
	to := &sinkWriter{w: sink}
	u := new(unstuffer)
	for {
		if w.br.Buffered() == 0 {
			if err := w.more(u); err != nil {
				return err
			}
		}
		p, _ := w.br.Peek(w.br.Buffered())
		n, done, err := u.write(to, p)
		w.br.Discard(n)
		switch {
		case err != nil:
			return err
		case u.size > w.opts.MaxMessage:
			return broken("a message of more than %d octets", w.opts.MaxMessage)
		case done:
			w.body = Body{Size: u.size, Oddity: u.oddity}
			return nil
		}
	}
}

// more reads more of a message. Where what has come ends with a false end, the
// server may have nothing more to send, and it is not waited for long.
func (w *wire) more(u *unstuffer) error {
	if u.falseEnd() {
		w.patience = min(w.opts.Idle, w.opts.limits.falseEnd)
		defer func() { w.patience = w.opts.Idle }()
	}
	_, err := w.br.Peek(1)
	if u.falseEnd() && errors.Is(err, ErrTimeout) {
		return peer.WithHint(fmt.Errorf("%w: behind %d octets came a dot with a bare LF before or behind it, and nothing for %v", ErrFalseEnd, u.size, w.patience),
			"the message may be whole, and nothing proves it; take it from this server by IMAP")
	}
	return err
}

// A sinkWriter marks the errors of a sink, which are not the server's.
type sinkWriter struct{ w io.Writer }

func (s *sinkWriter) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	if err != nil {
		err = &sinkError{err}
	}
	return n, err
}

// A sinkError is an error of whoever takes a message.
type sinkError struct{ error }

func (e *sinkError) Unwrap() error { return e.error }
