package restore

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
	"time"

	"restante/storage"
)

// A weighedTarget measures what the heap holds at the end of a look.
type weighedTarget struct {
	*hugeTarget
	heap uint64
}

func (w *weighedTarget) Open(context.Context, string) (Box, error) {
	return &weighedBox{hugeBox{w.hugeTarget}, w}, nil
}

type weighedBox struct {
	hugeBox
	w *weighedTarget
}

func (b *weighedBox) Present(_ context.Context, each func(Present) error) error {
	for n := range b.t.there {
		if err := each(Present{ID: fmt.Sprint(n + 1), Size: 1000, MessageID: generatedID(n)}); err != nil {
			return err
		}
	}
	b.w.heap = heap()
	return nil
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first found unreachable is swept by now
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A million messages that are all there and known must fit into the memory that
// the program allows itself, with room to spare. Not parallel, so that nobody
// else's memory is weighed.
func TestMessagesThatAreKnownTakeLittleMemory(t *testing.T) {
	const many = 100_000
	recipe := func(n uint32) (id storage.BlobID) {
		binary.BigEndian.PutUint64(id[:], uint64(n)*0x9e3779b97f4a7c15)
		return id
	}
	target := &weighedTarget{hugeTarget: &hugeTarget{fakeTarget: newTarget(), there: many, made: true}}
	group := Group{Folder: &storage.Folder{Levels: []string{"INBOX"}, Messages: many}, Messages: func(yield func(storage.Message, error) bool) {
		for n := range uint32(many) {
			m := storage.Message{UID: n + 1, Size: 1000, Recipe: recipe(n), MessageID: storage.HashMessageID(generatedID(n)),
				InternalDate: time.Unix(1_500_000_000+int64(n), 0), Flags: []string{`\Seen`}, Subject: fmt.Sprint("subject ", n)}
			if !yield(m, nil) {
				return
			}
		}
	}}
	o := options()
	o.Known = func(_ context.Context, _ []string, _ uint32, known func(string, Known)) error {
		for n := range uint32(many) {
			known(fmt.Sprint(n+1), Known{recipe(n), storage.HashMessageID(generatedID(n))})
		}
		return nil
	}
	before := heap()
	report, err := Run(t.Context(), nil, []Group{group}, target, o)
	if err != nil {
		t.Fatal(err)
	}
	if f := report.Folders[0]; f.Present != many || f.Missing != 0 {
		t.Errorf("%d present, %d missing", f.Present, f.Missing)
	}
	// 48 octets for what is asked for, 40 and some for what is known, 8 for the
	// order of recipes, and what maps take besides.
	each := float64(target.heap-before) / many
	t.Logf("%.0f octets for each message", each)
	if each > 130 {
		t.Errorf("each message takes %.0f octets", each)
	}
	if left := int64(heap()) - int64(before); left > 1<<20 {
		t.Errorf("%d octets are still held", left)
	}
}

// There may be a million of them, too. Not parallel either.
func TestNamesOfFilesThatAreKnownTakeLittleMemory(t *testing.T) {
	const many = 100_000
	before := heap()
	var known byID[sight]
	name := func(n int) string { return fmt.Sprintf("1700000000.M%dP12345Q%d.somebodys-computer.example.org", n, n) }
	for n := range many {
		known.put(name(n), sight{known: true})
	}
	each := float64(heap()-before) / many
	t.Logf("%.0f octets for each message", each)
	if each > 120 {
		t.Errorf("each message takes %.0f octets", each)
	}
	for n := range many {
		if _, ok := known.get(name(n)); !ok {
			t.Fatalf("%s is not known", name(n))
		}
	}
}
