package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"

	"restante/storage/objects"
	"restante/storage/objects/objectstest"
)

// The knowledge of the machines of an exploration, for telling states apart.
//
// A machine knows what it was told since it began, for its code does the same
// when told the same. Of that, a tale leaves out what makes no difference any
// more: that an answer was lost is over once the same was asked again and
// answered (Repository.put, pruner.delete), or once the machine has seen whose
// entry stands in the slot it appended to (Ledger.put). Objects are called
// after who put them, and what it knew then, which says what is in them.
type knowledge struct {
	image *simImage
	tales map[*simActor][]told
	made  map[string]uint64 // by name, of what was not in the image
}

// A told is one answer.
type told struct {
	asked  string
	answer uint64
	lost   bool
	open   string // the slot of an append of which nobody knows yet what came of it
	life   *simLife
}

func newKnowledge(image *simImage) *knowledge {
	return &knowledge{image: image, tales: map[*simActor][]told{}, made: map[string]uint64{}}
}

// called is what an object is called.
func (k *knowledge) called(name string) string {
	kind, _, _ := strings.Cut(name, "/")
	if _, from := k.image.objects[name]; from || kind == "ledger" {
		return name
	}
	return fmt.Sprintf("%s/%x", kind, k.made[name])
}

// asked is a request without what differs where nothing else does.
func (k *knowledge) asked(r *simRequest) string {
	return fmt.Sprintf("%d %s %d %d", r.op, k.called(r.name), r.offset, r.length)
}

// knows is what an actor knows.
func (k *knowledge) knows(a *simActor) uint64 {
	h := fnv.New64a()
	var b [8]byte
	for _, e := range k.tales[a] {
		h.Write([]byte(e.asked))
		binary.LittleEndian.PutUint64(b[:], e.answer)
		h.Write(b[:])
		if e.lost {
			h.Write([]byte("lost"))
		}
	}
	return h.Sum64()
}

// put notes that an object was put, before the one who did is told.
func (k *knowledge) put(r *simRequest) {
	if _, there := k.made[r.name]; there || r.err != nil || r.op&(objectstest.Put|objectstest.PutIfAbsent) == 0 {
		return
	}
	h := fnv.New64a()
	kind, _, _ := strings.Cut(r.name, "/")
	fmt.Fprintf(h, "%d %s %x", r.actor.index, kind, k.knows(r.actor))
	k.made[r.name] = h.Sum64()
}

// tell notes an answer, or that it was lost.
func (k *knowledge) tell(r *simRequest, lost bool) {
	tale := k.tales[r.actor]
	e := told{asked: k.asked(r), lost: lost, life: r.life}
	if !lost {
		e.answer = k.answer(r)
	}
	over := func(told) bool { return false } // what makes no difference any more
	switch {
	case r.op == objectstest.PutIfAbsent || r.op == objectstest.Get && k.appending(r):
		if lost || r.err != nil {
			e.open = r.name
			break
		}
		e.asked, e.answer = "append "+r.name, k.made[r.name]
		over = func(t told) bool { return t.open == r.name }
	case !lost && r.op&(objectstest.Put|objectstest.Delete) != 0:
		over = func(t told) bool { return t.lost && t.asked == e.asked }
	}
	// It takes the place of what is over, for requests that go out side by side
	// know nothing of each other.
	at := slices.IndexFunc(tale, over)
	if at < 0 {
		k.tales[r.actor] = append(tale, e)
		return
	}
	for _, t := range tale {
		if over(t) && t.lost {
			t.life.faults-- // no excuse for anything any more
		}
	}
	k.tales[r.actor] = append(append(tale[:at:at], e), slices.DeleteFunc(tale[at+1:], over)...)
}

// appending says whether a machine looks into a slot because it wants to know
// what came of its append.
func (k *knowledge) appending(r *simRequest) bool {
	return slices.ContainsFunc(k.tales[r.actor], func(t told) bool { return t.open == r.name })
}

func (k *knowledge) answer(r *simRequest) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, r.err != nil, len(r.got), k.called(r.name), k.made[r.name])
	for _, known := range []error{objects.ErrExists, objects.ErrNotFound, objects.ErrRange, objectstest.ErrInjected} {
		fmt.Fprint(h, errors.Is(r.err, known))
	}
	for _, info := range r.infos {
		if !strings.HasPrefix(info.Name, "checkpoints/") {
			fmt.Fprintln(h, k.called(info.Name), k.made[info.Name])
		}
	}
	return h.Sum64()
}

// state names the state: two that are the same go on in the same ways.
func (k *knowledge) state(w *simWorld, left exploring) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, left)
	for _, a := range w.actors {
		switch {
		case a.life.dead || a.done:
			fmt.Fprint(h, " over")
		default:
			fmt.Fprint(h, " ", k.knows(a), a.life.faults)
		}
	}
	var there []string
	for name := range k.made {
		if _, t := w.objects[name]; t && !strings.HasPrefix(name, "checkpoints/") {
			there = append(there, fmt.Sprint(k.called(name), k.made[name]))
		}
	}
	slices.Sort(there)
	fmt.Fprintln(h, there)
	for _, name := range slices.Sorted(maps.Keys(k.image.objects)) {
		if _, there := w.objects[name]; !there {
			fmt.Fprintln(h, "gone", name)
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(w.truth.acknowledged), func(a, b ID) int { return slices.Compare(a[:], b[:]) }) {
		h.Write(id[:])
	}
	return h.Sum64()
}

// offers names what can happen in a state.
func (k *knowledge) offers(list []branch) uint64 {
	h := fnv.New64a()
	for _, b := range list {
		if b.crash != nil {
			fmt.Fprintln(h, "crash", b.crash.index)
			continue
		}
		fmt.Fprintln(h, b.request.actor.index, k.asked(b.request), b.lost)
	}
	return h.Sum64()
}
