package imapconn

import (
	"compress/flate"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// patientWriter gathers what is written and sends it in pieces, each of which
// has the same time to be taken.
type patientWriter struct {
	conn    net.Conn
	idle    time.Duration
	deflate *flate.Writer // nil without COMPRESS
	buf     []byte
}

const writeSize = 32 << 10

func (w *patientWriter) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		n := min(len(p), writeSize-len(w.buf))
		w.buf = append(w.buf, p[:n]...)
		p = p[n:]
		if len(w.buf) == writeSize {
			if err := w.empty(); err != nil {
				return 0, err
			}
		}
	}
	return total, nil
}

func (w *patientWriter) empty() error {
	b := w.buf
	w.buf = w.buf[:0]
	if w.deflate != nil {
		_, err := w.deflate.Write(b)
		return err
	}
	return w.send(b)
}

// Flush sends everything.
func (w *patientWriter) Flush() error {
	if err := w.empty(); err != nil || w.deflate == nil {
		return err
	}
	return w.deflate.Flush()
}

func (w *patientWriter) send(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	w.conn.SetWriteDeadline(time.Now().Add(w.idle))
	_, err := w.conn.Write(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%w: it took nothing of what was sent for %v", ErrTimeout, w.idle)
	}
	if err != nil {
		return fmt.Errorf("send to the server: %w", err)
	}
	return nil
}

// compressed switches to COMPRESS=DEFLATE.
func (w *patientWriter) compressed() {
	w.deflate, _ = flate.NewWriter(writerFunc(func(b []byte) (int, error) {
		return len(b), w.send(b)
	}), flate.DefaultCompression)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
