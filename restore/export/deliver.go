package export

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"restante/restore"
	"restante/storage/mailfiles"
	"restante/storage/messages"
)

// deliver gives a message to write as something to read. After an error write
// has added nothing.
func deliver(ctx context.Context, o *restore.Outgoing, write func(mailfiles.Delivery, io.Reader) (mailfiles.Delivered, error)) (mailfiles.Delivered, error) {
	r, w := io.Pipe()
	written := make(chan struct{})
	go func() {
		defer close(written)
		w.CloseWithError(o.Write(ctx, w))
	}()
	d, err := write(mailfiles.Delivery{Flags: o.Flags, Date: o.InternalDate}, &sized{r, o.Size})
	r.Close()
	<-written
	return d, err
}

// sized is a reader that fails where there are more or fewer octets than
// announced.
type sized struct {
	r    io.Reader
	left int64
}

func (s *sized) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.left -= int64(n)
	if s.left < 0 || err == io.EOF && s.left > 0 {
		return n, fmt.Errorf("the message is not as long as it was said to be, by %d octets", -s.left)
	}
	return n, err
}

// present describes a message that is there, from its first octets.
func present(id string, size int64, octets io.Reader) (restore.Present, error) {
	const mostHeader = 64 << 10 // as much as the backup looks at
	var head []byte
	for want := 4 << 10; want <= mostHeader; want *= 4 {
		more, err := io.ReadAll(io.LimitReader(octets, int64(want-len(head))))
		if err != nil {
			return restore.Present{}, err
		}
		head = append(head, more...)
		if len(head) < want || bytes.Contains(head, []byte("\n\n")) || bytes.Contains(head, []byte("\n\r\n")) {
			break
		}
	}
	header, err := messages.ReadHeader(bytes.NewReader(head), int64(len(head)), mostHeader)
	return restore.Present{ID: id, Size: size, MessageID: messages.Summarize(header).MessageID}, err
}

// A watched reader remembers what went wrong, so that an error of reading a
// message is told from one of whoever reads it.
type watched struct {
	r   io.Reader
	err error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}
