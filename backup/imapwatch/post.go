package imapwatch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/peer"
	"restante/storage"
)

// A post is where one connection watches.
type post struct {
	*watch
	folder string // as a backup names it
	first  bool   // it is the one that may use NOTIFY, and watches INBOX otherwise
}

// errOverflow: the server had too much to tell.
var errOverflow = errors.New("the server had too much to tell, and stopped to")

// keep watches until it is told to stop, or it is hopeless.
func (p *post) keep() error {
	for failures := 0; ; failures++ {
		lasted, err := p.once()
		if p.ctx.Err() != nil {
			return context.Cause(p.ctx)
		}
		if hopeless(err) {
			return err
		}
		if lasted {
			failures = 0
		}
		p.o.Log.Info("watching again", "folder", peer.Text(p.folder), "error", err, "hint", peer.Hint(err))
		if err := p.o.Pause(p.ctx, failures, err); err != nil {
			return err
		}
	}
}

// pause is what Options.Pause is by default. What it waits is not the same for
// all who lost a connection to the same server at the same time.
func pause(ctx context.Context, i int, err error) error {
	d := min(time.Second<<min(i, 20), 5*time.Minute)
	if errors.Is(err, imapconn.ErrBusy) {
		d = max(d, time.Minute)
	}
	d += rand.N(d/2 + 1)
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// once watches for as long as a connection lasts. lasted says that it did for
// so long that the server once proved to be there.
func (p *post) once() (lasted bool, err error) {
	if p.o.Hold != nil {
		release, err := p.o.Hold(p.ctx)
		if err != nil {
			return false, err
		}
		defer release()
	}
	overflow := make(chan struct{}, 1)
	conn, err := p.dial(p.ctx, func(n imapconn.News) {
		if n == imapconn.Overflow {
			select {
			case overflow <- struct{}{}:
			default:
			}
		}
		p.hear()
	})
	if err != nil {
		return false, err
	}
	defer conn.Close()
	defer conn.Bind(p.ctx)()
	idle, err := p.prepare(conn)
	if err != nil {
		return false, err
	}
	for again := false; ; again = true {
		err := p.listen(conn, idle, overflow, !again)
		if err != nil {
			return again, err
		}
	}
}

// prepare has the server tell of changes, or opens the folder for IDLE. Idle
// says that IDLE is to be used.
func (p *post) prepare(conn *imapconn.Conn) (idle bool, err error) {
	idle = conn.Caps().Has(imap.CapIdle)
	if p.first && conn.CanNotify() {
		err := p.within(conn, "NOTIFY", conn.Notify)
		if err == nil {
			return idle, nil
		}
		if _, refused := errors.AsType[*imap.Error](err); !refused || conn.Err() != nil {
			return false, err
		}
		p.o.Log.Info("the server refuses NOTIFY", "error", err)
	}
	if !idle {
		return false, ErrCannot
	}
	if p.first {
		p.more()
	}
	name := inbox
	if p.folder != inbox {
		if name, err = p.wireName(conn); err != nil {
			return false, err
		}
	}
	// EXAMINE, since SELECT alone changes what is \Recent (RFC 9051 section
	// 6.3.3).
	return true, p.within(conn, "EXAMINE", func() error {
		_, err := conn.Select(name, &imap.SelectOptions{ReadOnly: true}).Wait()
		return err
	})
}

// wireName is what the library calls the folder.
func (p *post) wireName(conn *imapconn.Conn) (name string, err error) {
	err = p.within(conn, "NAMESPACE", func() error {
		spaces, err := conn.Namespaces()
		if err != nil {
			return err
		}
		delimiter := spaces.Delimiter
		if delimiter == 0 { // it does not say; LIST does (RFC 9051 section 6.3.9)
			root, err := conn.List("", "", nil).Collect()
			if err != nil {
				return err
			}
			if len(root) > 0 {
				delimiter = root[0].Delim
			}
		}
		name = spaces.Join(storage.FolderLevels(p.folder), delimiter)
		return nil
	})
	return name, err
}

// listen waits for news until the connection has to prove that it stands, and
// has it prove it. With anew it says when it listens that something may have
// changed.
func (p *post) listen(conn *imapconn.Conn, idle bool, overflow <-chan struct{}, anew bool) error {
	end := func() error { return p.within(conn, "NOOP", func() error { return conn.Noop().Wait() }) }
	if idle {
		var command *imapclient.IdleCommand
		err := p.within(conn, "IDLE", func() (err error) {
			command, err = conn.Idle()
			return err
		})
		if err != nil {
			return err
		}
		end = func() error {
			return p.within(conn, "DONE", func() error {
				if err := command.Close(); err != nil {
					return err
				}
				return command.Wait()
			})
		}
	}
	if anew {
		p.hear()
	}
	timer := time.NewTimer(p.o.Renew)
	defer timer.Stop()
	select {
	case <-p.ctx.Done():
		return context.Cause(p.ctx)
	case <-conn.Closed():
		return p.lost(conn)
	case <-overflow:
		return errOverflow
	case <-timer.C:
		return end()
	}
}

// lost says why a connection ended.
func (p *post) lost(conn *imapconn.Conn) error {
	if err := conn.Err(); err != nil {
		return err
	}
	return fmt.Errorf("watching %q: the connection ended", p.folder)
}
