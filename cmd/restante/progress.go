package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

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
	text        string
	done, total int64 // of whatever the bar measures; a total of 0: not known
}

const (
	linesEvery = 10 * time.Second
	barWidth   = 24
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
	d.latest = moment{what, done, total}
	if total > 0 {
		d.latest.text = fmt.Sprintf("%s %s of %s", what, count(done), count(total))
	}
}

func (d *display) show(a *app) {
	d.stop = make(chan struct{})
	switch {
	case a.Quiet || a.JSON:
	case terminal(a.err):
		d.done.Go(func() { d.bar(a.err) })
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
			if m := d.now(); m.text != "" {
				fmt.Fprintf(w, "%s %s\n", time.Now().Format(time.TimeOnly), oneLine(m.text))
			}
		}
	}
}

func (d *display) bar(w io.Writer) {
	p := mpb.New(mpb.WithOutput(w), mpb.WithWidth(barWidth), mpb.WithRefreshRate(200*time.Millisecond))
	bar := p.New(0, mpb.BarStyle(), mpb.BarRemoveOnComplete(), mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return " " + oneLine(d.now().text) })))
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-d.stop:
			bar.Abort(true)
			p.Wait()
			return
		case <-tick.C:
			if m := d.now(); m.total > 0 {
				bar.SetTotal(m.total, false)
				bar.SetCurrent(min(m.done, m.total-1))
			}
		}
	}
}

// A pace tells a rate and the time left.
type pace struct{ begun time.Time }

func (p pace) String(bytes, done, total int64) string {
	if p.begun.IsZero() || done == 0 {
		return ""
	}
	took := time.Since(p.begun)
	s := fmt.Sprintf(", %s/s", octets(int64(float64(bytes)/took.Seconds())))
	if left := total - done; left > 0 && took > 2*time.Second {
		s += fmt.Sprintf(", %s left", time.Duration(float64(took)*float64(left)/float64(done)).Round(time.Second))
	}
	return s
}

// backupMoment tells how far a backup is.
func backupMoment(account string, p *backup.Progress) func() moment {
	var since pace
	return func() moment {
		total, done, bytes := p.Messages.Load(), p.MessagesDone.Load(), p.Bytes.Load()
		if total == 0 {
			return moment{text: fmt.Sprintf("%s: %s", account, p.Step())}
		}
		if since.begun.IsZero() {
			since.begun = time.Now()
		}
		return moment{fmt.Sprintf("%s: %d/%d folders, %s/%s messages, %s%s", account, p.FoldersDone.Load(), p.Folders.Load(),
			count(done), count(total), octets(bytes), since.String(bytes, done, total)), done, total}
	}
}

// restoreMoment tells how far a restore is.
func restoreMoment(p *restore.Progress) func() moment {
	var since pace
	return func() moment {
		total, done := p.Messages.Load(), p.MessagesDone.Load()
		if p.Step() != "restoring" {
			return moment{text: fmt.Sprintf("%s: %d/%d folders, %s missing so far", p.Step(), p.FoldersDone.Load(), p.Folders.Load(), messages(total))}
		}
		if since.begun.IsZero() {
			since.begun = time.Now()
		}
		return moment{fmt.Sprintf("%s/%s messages, %s/%s%s", count(done), count(total), octets(p.BytesDone.Load()), octets(p.Bytes.Load()),
			since.String(p.BytesDone.Load(), done, total)), done, total}
	}
}
