package storage

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/oklog/ulid/v2"
)

// A damage is what was done to a copy of the specimen.
type damage struct {
	how     string
	name    string
	objects map[string][]byte // what stands there now; nil: nothing
	// padding: only octets that nobody reads were changed.
	padding bool
	// places are the segments that were hit; nil means all of the pack.
	places map[segmentKey]bool
}

func (d damage) String() string { return d.name + " " + d.how }

// kind is the first part of an object's name.
func kind(name string) string { k, _, _ := strings.Cut(name, "/"); return k }

// damages lists what can happen to an object.
func (sp *specimen) damages(name string, r *rand.Rand, flips int) (list []damage) {
	b := sp.objects[name]
	one := func(how string, octets []byte) damage {
		return damage{how: how, name: name, objects: map[string][]byte{name: octets}}
	}
	at := []int{0, len(b) - 1}
	for range flips {
		at = append(at, r.IntN(len(b)))
	}
	for _, s := range sp.packs[name] { // one in every segment
		at = append(at, int(s.Offset)+r.IntN(s.Box))
	}
	for _, i := range at {
		flipped := bytes.Clone(b)
		flipped[i] ^= 1 << r.IntN(8)
		d := one(fmt.Sprintf("with a bit flipped in octet %d of %d", i, len(b)), flipped)
		if kind(name) == "packs" {
			d.places, d.padding = sp.segmentAt(name, i)
		}
		list = append(list, d)
	}
	short := r.IntN(len(b))
	list = append(list, one(fmt.Sprintf("cut to %d octets", short), b[:short]), one("without its last octet", b[:len(b)-1]),
		one("with an octet more", append(bytes.Clone(b), 0)), one("empty", []byte{}), one("missing", nil))
	var alike []string
	for _, n := range sp.names {
		if n != name && kind(n) == kind(name) {
			alike = append(alike, n)
		}
	}
	if len(alike) > 0 {
		other := alike[r.IntN(len(alike))]
		list = append(list, one("in whose place "+other+" stands", sp.objects[other]),
			damage{how: "swapped with " + other, name: name, objects: map[string][]byte{name: sp.objects[other], other: b}})
	}
	for older, octets := range sp.older {
		if kind(older) == kind(name) {
			list = append(list, one("in whose place "+older+" stands, which is gone", octets))
			break
		}
	}
	return list
}

// segmentAt finds the segment that an octet of a pack belongs to.
func (sp *specimen) segmentAt(name string, octet int) (hit map[segmentKey]bool, padding bool) {
	id := ulid.MustParse(name[len("packs/"):])
	end := int64(16)
	for _, s := range sp.packs[name] {
		if end = s.Offset + int64(s.Box); int64(octet) >= s.Offset && int64(octet) < end {
			return map[segmentKey]bool{{id, s.Offset}: true}, false
		}
	}
	// The directory and the trailer are at the end; a wrong head stops nobody.
	directory := int64(len(sp.objects[name])) - sp.tailOf(name)
	return map[segmentKey]bool{}, int64(octet) >= end && int64(octet) < directory
}

// tailOf is how long the boxes of a pack's directory and trailer are together.
func (sp *specimen) tailOf(name string) int64 {
	const overhead = 1 + 24 + 5 + 16 // FORMAT.md section 3
	return int64(len(sp.packs[name].Append(nil)) + overhead + 12 + overhead)
}

// TestEveryDamageToEveryObjectIsFoundAndNeverGivenOut damages each object in
// every way, and then opens, lists, restores and checks with and without a
// cache.
func TestEveryDamageToEveryObjectIsFoundAndNeverGivenOut(t *testing.T) {
	t.Parallel()
	sp := mustSpecimen(t)
	tried := 0
	t.Cleanup(func() { t.Logf("%d damages to %d objects", tried, len(sp.names)) })
	for i, name := range sp.names {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(i), 2))
			list := sp.damages(name, r, 2)
			r.Shuffle(len(list), func(i, k int) { list[i], list[k] = list[k], list[i] })
			if os.Getenv("RESTANTE_LONG") == "" { // all of it takes some minutes
				list = list[:min(len(list), 1)]
			}
			tried += len(list)
			for k, d := range list {
				sp.try(t, d, (i+k)%2 == 0)
			}
		})
	}
}

// try damages a copy and looks what comes of it.
func (sp *specimen) try(t *testing.T, d damage, warm bool) {
	t.Helper()
	what := d.String() + ", cold"
	o := Options{CacheDir: t.TempDir()}
	if warm {
		what = d.String() + ", warm"
		o.CacheDir = sp.copyCache(t)
	}
	store := sp.copy(t)
	for name, b := range d.objects {
		if b == nil {
			store.Delete(t.Context(), name)
		} else if err := store.Put(t.Context(), name, b); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Open(t.Context(), store, Passphrase(testPassphrase), o)
	if err != nil {
		sp.wantRefusal(t, what, d, warm, err)
		return
	}
	defer r.Close()
	if sp.lastEntryGone(d) && !warm {
		return // nobody can know that there was another
	}
	sp.wantRestored(t, what, d, r)
	plain, err := r.Check(t.Context(), CheckOptions{})
	if err != nil {
		t.Errorf("%s: check: %v", what, err)
		return
	}
	full, err := r.Check(t.Context(), CheckOptions{ReadData: 1})
	if err != nil {
		t.Errorf("%s: check of all data: %v", what, err)
		return
	}
	for name := range d.objects {
		if d.padding || kind(name) == "checkpoints" && d.objects[name] == nil {
			continue
		}
		if !names(full.Findings, name) {
			t.Errorf("%s: a check of all data does not name %s: %v", what, name, full.Findings)
		}
		if sp.plainFinds(d, name) && !names(plain.Findings, name) {
			t.Errorf("%s: a check does not name %s: %v", what, name, plain.Findings)
		}
	}
	for _, f := range full.Findings {
		if !blames(f, d) {
			t.Errorf("%s: a finding about something else: %v", what, f)
		}
	}
}

// lastEntryGone says that the ledger is just shorter.
func (sp *specimen) lastEntryGone(d damage) bool {
	last := ""
	for _, n := range sp.names {
		if kind(n) == "ledger" {
			last = n
		}
	}
	b, hit := d.objects[last]
	return hit && b == nil
}

// plainFinds says whether a check that does not read all data must find it.
func (sp *specimen) plainFinds(d damage, name string) bool {
	if kind(name) != "packs" || d.places == nil {
		return true
	}
	if len(d.places) == 0 { // the head, the directory or the trailer
		return !bytes.Equal(d.objects[name][16:], sp.objects[name][16:])
	}
	for _, s := range sp.mail {
		for p := range s.tree {
			if d.places[p] {
				return true
			}
		}
	}
	return false
}

// names says whether a finding is about an object.
func names(findings []Finding, name string) bool {
	id := name[strings.LastIndex(name, "/")+1:]
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Object == name || strings.Contains(f.Problem, id) })
}

// blames says whether a finding may be due to a damage.
func blames(f Finding, d damage) bool {
	for name := range d.objects {
		if names([]Finding{f}, name) || kind(name) == "packs" && kind(f.Object) != "keys" && kind(f.Object) != "ledger" {
			return true
		}
	}
	return false
}

// wantRefusal judges an error of Open.
func (sp *specimen) wantRefusal(t *testing.T, what string, d damage, warm bool, err error) {
	t.Helper()
	named := false
	for name := range d.objects {
		named = named || strings.Contains(err.Error(), name) || strings.Contains(err.Error(), strings.TrimLeft(name[strings.LastIndex(name, "/")+1:], "0"))
	}
	switch kind(d.name) {
	case "config": // an id of another repository makes its keys look wrong
		named = !warm && (named || errors.Is(err, ErrNoRepository) || strings.Contains(err.Error(), "of another repository"))
	case "keys":
		_, hit := d.objects[sp.slot]
		named = !warm && hit && (named || errors.Is(err, ErrWrongKey))
	case "ledger":
	default:
		named = false
	}
	if !named {
		t.Errorf("%s: it cannot be opened: %v", what, err)
	}
}

// wantRestored reads all mail: what was not hit must come back, what was must
// come back or give an error that says what it is about.
func (sp *specimen) wantRestored(t *testing.T, what string, d damage, r *Repository) {
	t.Helper()
	latest := map[string]ID{}
	for _, s := range sp.mail {
		latest[s.snapshot.Account] = s.snapshot.ID
	}
	for _, s := range sp.mail {
		if got, err := r.At(s.snapshot.Account, Point{id: s.snapshot.ID.String()}); err != nil || got.Root != s.snapshot.Root {
			t.Errorf("%s: snapshot %s is not there: %v", what, s.snapshot.ID.Short(), err)
			continue
		}
		// Older snapshots share their messages with the latest; their lists will do.
		sp.wantSnapshot(t, what, d, r, s, latest[s.snapshot.Account] == s.snapshot.ID)
	}
}

// hits says whether one of the places or the snapshot's vault was damaged.
func (sp *specimen) hits(d damage, s savedMail, places map[segmentKey]bool) bool {
	if _, hit := d.objects[vaultName(s.snapshot.Vault)]; hit {
		return true
	}
	for p := range places {
		if _, hit := d.objects[packName(p.pack)]; hit && !d.padding && (d.places == nil || d.places[p] || sp.hitsDirectory(d)) {
			return true
		}
	}
	return false
}

// hitsDirectory says that a pack's directory or trailer was hit; without an
// index its segments cannot be found any more.
func (sp *specimen) hitsDirectory(d damage) bool {
	return d.places != nil && len(d.places) == 0 && !d.padding
}

func (sp *specimen) wantSnapshot(t *testing.T, what string, d damage, r *Repository, s savedMail, octets bool) {
	t.Helper()
	mustWork := !sp.hits(d, s, s.tree)
	fail := func(err error) {
		t.Helper()
		if mustWork {
			t.Errorf("%s: snapshot %s, which was not hit: %v", what, s.snapshot.ID.Short(), err)
		} else if !sp.explains(err, d) {
			t.Errorf("%s: snapshot %s: the error does not say what is damaged: %v", what, s.snapshot.ID.Short(), err)
		}
	}
	tree, err := r.OpenSnapshot(t.Context(), s.snapshot)
	if err != nil {
		fail(err)
		return
	}
	for name, want := range s.folders {
		f := tree.Folder([]string{name})
		if f == nil {
			t.Errorf("%s: folder %s is not there, and no error says why", what, name)
			continue
		}
		i, failed := 0, false
		for m, err := range f.All(t.Context()) {
			if err != nil {
				fail(err)
				failed = true
				break
			}
			if i >= len(want) || m.UID != want[i].uid || fmt.Sprint(m.Flags) != "["+want[i].flags+"]" {
				t.Errorf("%s: message %d of folder %s is another one", what, i, name)
				return
			}
			i++
			if !octets {
				continue
			}
			want := want[i-1]
			var got bytes.Buffer
			switch err := r.WriteMessage(t.Context(), &got, s.snapshot.Vault, m.Recipe); {
			case err != nil && !sp.hits(d, s, want.parts):
				t.Errorf("%s: message %d of snapshot %s, which was not hit: %v", what, m.UID, s.snapshot.ID.Short(), err)
			case err != nil && !sp.explains(err, d):
				t.Errorf("%s: message %d: the error does not say what is damaged: %v", what, m.UID, err)
			case err == nil && !bytes.Equal(got.Bytes(), want.octets):
				t.Errorf("%s: message %d has wrong octets, and no error says so", what, m.UID)
			}
		}
		if !failed && i != len(want) {
			t.Errorf("%s: folder %s has %d messages of %d, and no error says why", what, name, i, len(want))
		}
	}
}

// explains says whether an error names the object or a blob of it.
func (sp *specimen) explains(err error, d damage) bool {
	for name := range d.objects {
		id := name[strings.LastIndex(name, "/")+1:]
		if strings.Contains(err.Error(), id) || kind(name) == "vaults" && strings.Contains(err.Error(), "vault "+id[:8]) {
			return true
		}
	}
	return false
}
