package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"restante/backup"
	"restante/restore"
)

// A display shows how far long work is: a bar for a person at a terminal,
// plain lines now and then for a log, nothing if nobody wants to know.
type display struct {
	now  func() moment
	stop chan struct{}
	done sync.WaitGroup

	mu     sync.Mutex // guards latest
	latest moment
}

// A moment is what there is to show.
type moment struct {
	texts       []string // the same, ever shorter
	done, total int64    // of whatever the bar measures; a total of 0: not known
}

const (
	linesEvery   = 10 * time.Second
	paintEvery   = 200 * time.Millisecond
	barMost      = 24
	barLeast     = 10
	unknownWidth = 80
)

// progress begins a display that step feeds.
func (a *app) progress() *display {
	d := &display{}
	d.now = func() moment {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.latest
	}
	d.show(a)
	return d
}

// watch begins a display of what now tells.
func (a *app) watch(now func() moment) *display {
	d := &display{now: now}
	d.show(a)
	return d
}

// step says how far the work is.
func (d *display) step(what string, done, total int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.latest = moment{[]string{what}, done, total}
	if total > 0 {
		d.latest.texts = []string{fmt.Sprintf("%s %s of %s", what, count(done), count(total)), what}
	}
}

func (d *display) show(a *app) {
	d.stop = make(chan struct{})
	switch {
	case a.Quiet || a.JSON:
	case terminal(a.err):
		d.done.Go(func() { d.bar(a.screen, a.err) })
	default:
		d.done.Go(func() { d.lines(a.err) })
	}
}

// end takes the display away.
func (d *display) end() {
	close(d.stop)
	d.done.Wait()
}

func (d *display) lines(w io.Writer) {
	tick := time.NewTicker(linesEvery)
	defer tick.Stop()
	for {
		select {
		case <-d.stop:
			return
		case <-tick.C:
			if m := d.now(); len(m.texts) > 0 {
				fmt.Fprintf(w, "%s %s\n", time.Now().Format(time.TimeOnly), oneLine(m.texts[0]))
			}
		}
	}
}

// bar paints on a screen, which is the terminal.
func (d *display) bar(s *screen, terminal any) {
	defer s.clear()
	tick := time.NewTicker(paintEvery)
	defer tick.Stop()
	for {
		select {
		case <-d.stop:
			return
		case <-tick.C:
			if m := d.now(); len(m.texts) > 0 {
				w := width(terminal)
				if w == 0 {
					w = unknownWidth
				}
				s.paint(m.line(w - 1)) // a terminal goes on to the next line when the last column is written
			}
		}
	}
}

// line is what a moment looks like in so many columns: the longest text that
// leaves room for a bar, else the shortest without one.
func (m moment) line(most int) string {
	var text string
	for _, text = range m.texts {
		text = oneLine(text)
		if m.total <= 0 {
			if columns.StringWidth(text) <= most {
				return text
			}
			continue
		}
		if room := min(barMost, most-columns.StringWidth(text)-len("[] ")); room >= barLeast {
			full := int(float64(room) * min(1, float64(m.done)/float64(m.total)))
			return "[" + strings.Repeat("=", full) + strings.Repeat("-", room-full) + "] " + text
		}
	}
	return cut(text, most)
}

// A pace tells a rate and the time left, each behind a comma.
type pace struct{ begun time.Time }

func (p pace) rate(bytes int64) string {
	took := time.Since(p.begun).Seconds()
	if bytes == 0 || took < 0.1 {
		return ""
	}
	return fmt.Sprintf(", %s/s", octets(int64(float64(bytes)/took)))
}

func (p pace) left(done, total int64) string {
	took := time.Since(p.begun)
	if done == 0 || done >= total || took < 2*time.Second {
		return ""
	}
	return fmt.Sprintf(", %s left", time.Duration(float64(took)*float64(total-done)/float64(done)).Round(time.Second))
}

// backupMoment tells how far a backup is.
func backupMoment(account string, p *backup.Progress) func() moment {
	var since pace
	return func() moment {
		total, done, bytes := p.Messages.Load(), p.MessagesDone.Load(), p.Bytes.Load()
		if total == 0 {
			return moment{texts: []string{fmt.Sprintf("%s: %s", account, p.Step()), p.Step()}}
		}
		if since.begun.IsZero() {
			since.begun = time.Now()
		}
		rate, left := since.rate(bytes), since.left(done, total)
		far := fmt.Sprintf("%s/%s messages", count(done), count(total))
		return moment{[]string{
			fmt.Sprintf("%s: %d/%d folders, %s, %s%s%s", account, p.FoldersDone.Load(), p.Folders.Load(), far, octets(bytes), rate, left),
			fmt.Sprintf("%s: %s, %s%s%s", account, far, octets(bytes), rate, left),
			fmt.Sprintf("%s: %s%s", account, far, left),
			far + left, far,
		}, done, total}
	}
}

// restoreMoment tells how far a restore is.
func restoreMoment(p *restore.Progress) func() moment {
	var since pace
	return func() moment {
		total, done := p.Messages.Load(), p.MessagesDone.Load()
		if p.Step() != "restoring" {
			return moment{texts: []string{fmt.Sprintf("%s: %d/%d folders, %s missing so far", p.Step(), p.FoldersDone.Load(), p.Folders.Load(), messages(total)), p.Step()}}
		}
		if since.begun.IsZero() {
			since.begun = time.Now()
		}
		bytes := p.BytesDone.Load()
		rate, left := since.rate(bytes), since.left(done, total)
		far := fmt.Sprintf("%s/%s messages", count(done), count(total))
		return moment{[]string{
			fmt.Sprintf("%s, %s/%s%s%s", far, octets(bytes), octets(p.Bytes.Load()), rate, left),
			far + rate + left, far + left, far,
		}, done, total}
	}
}
