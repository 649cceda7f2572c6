package objectstest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"restante/storage/objects"
)

func TestFaultyWithoutRulesKeepsEveryPromise(t *testing.T) {
	Suite(t, func(*testing.T) objects.Store { return NewFaulty(objects.NewMemory(), 1) })
}

// TestFaultsOfWrites shows what each fault does to a put if absent of "n", and what is
// there afterwards.
func TestFaultsOfWrites(t *testing.T) {
	mine, others := []byte("mine"), []byte("others")
	for _, test := range []struct {
		fault   Fault
		there   []byte // before
		want    error
		after   []byte // nil: nothing
		settled []byte
	}{
		{FailBefore, nil, ErrInjected, nil, nil},
		{FailAfter, nil, ErrInjected, mine, mine},
		{FailAfter, others, ErrInjected, others, others},
		{FailLate, nil, ErrInjected, nil, mine},
		{FailLate, others, ErrInjected, others, others},
		{Full, nil, objects.ErrFull, nil, nil},
		{Refuse, nil, objects.ErrRefused, nil, nil},
		{Lose, nil, nil, nil, nil},
		{Overwrite, others, nil, mine, mine},
		{Shorten, nil, nil, mine[:2], mine[:2]},
	} {
		t.Run(string(test.fault), func(t *testing.T) {
			below := objects.NewMemory()
			if test.there != nil {
				must(t, below.Put(t.Context(), "n", test.there))
			}
			f := NewFaulty(below, 1, Rule{Fault: test.fault})
			if err := f.PutIfAbsent(t.Context(), "n", mine); !errors.Is(err, test.want) {
				t.Errorf("PutIfAbsent: %v; want %v", err, test.want)
			}
			check := func(when string, want []byte) {
				got, err := below.Get(t.Context(), "n", 0, -1)
				if !bytes.Equal(got, want) || (err != nil) != (want == nil) {
					t.Errorf("%s there is %q, %v; want %q", when, got, err, want)
				}
			}
			check("afterwards", test.after)
			f.Settle()
			check("when settled", test.settled)
			if strikes := f.Strikes(); !slices.Equal(strikes, []Strike{{test.fault, PutIfAbsent, "n"}}) {
				t.Errorf("Strikes: %v", strikes)
			}
		})
	}
}

func TestFaultsOfReads(t *testing.T) {
	below := objects.NewMemory()
	data := octets(100, 1)
	for _, name := range []string{"a", "b", "c", "d"} {
		must(t, below.Put(t.Context(), name, data))
	}
	f := NewFaulty(below, 1, Rule{Fault: Flip, Times: 1}, Rule{Fault: Shorten, On: Get, Times: 1}, Rule{Fault: Lose, On: Get, Times: 1})
	got, err := f.Get(t.Context(), "a", 0, -1)
	if err != nil || len(got) != 100 || bytes.Equal(got, data) {
		t.Errorf("flipped Get: %d octets, %v", len(got), err)
	}
	got, err = f.Get(t.Context(), "a", 0, -1)
	if err != nil || len(got) != 50 {
		t.Errorf("shortened Get: %d octets, %v", len(got), err)
	}
	if _, err = f.Get(t.Context(), "a", 0, -1); !errors.Is(err, objects.ErrNotFound) {
		t.Errorf("lost Get: %v", err)
	}
	wantObject(t, f, "a", data) // all rules are used up

	f.Add(Rule{Fault: Shorten, On: List, Times: 1}, Rule{Fault: Lose, On: List, Times: 1}, Rule{Fault: FailAfter, On: List, Times: 1})
	wantList(t, f, "", "", "a", "b")
	if names := list(t, f, "", ""); len(names) != 3 {
		t.Errorf("List that loses one of 4: %q", names)
	}
	var seen []string
	for info, e := range f.List(t.Context(), "", "") {
		if err = e; err == nil {
			seen = append(seen, info.Name)
		}
	}
	if !errors.Is(err, ErrInjected) || !slices.Equal(seen, []string{"a", "b"}) {
		t.Errorf("List that fails: %q, then %v", seen, err)
	}
	wantList(t, f, "", "", "a", "b", "c", "d")
}

func TestHangEndsWithTheContext(t *testing.T) {
	for fault, stored := range map[Fault]bool{Hang: false, HangAfter: true} {
		synctest.Test(t, func(t *testing.T) {
			below := objects.NewMemory()
			f := NewFaulty(below, 1, Rule{Fault: fault, On: Put})
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			if err := f.Put(ctx, "n", nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", fault, err)
			}
			if _, err := below.Get(t.Context(), "n", 0, -1); (err == nil) != stored {
				t.Errorf("%s: afterwards Get says %v", fault, err)
			}
		})
	}
}

func TestRulesMatch(t *testing.T) {
	f := NewFaulty(objects.NewMemory(), 1,
		Rule{Fault: FailBefore, On: Put | Delete, Prefix: "packs/", Skip: 1, Times: 2})
	var outcomes []bool
	for _, err := range []error{
		f.Put(t.Context(), "packs/1", nil),         // skipped
		f.Put(t.Context(), "keys/1", nil),          // another prefix
		f.PutIfAbsent(t.Context(), "packs/2", nil), // another operation
		f.Delete(t.Context(), "packs/1"),           // hit
		f.Put(t.Context(), "packs/1", nil),         // hit
		f.Put(t.Context(), "packs/1", nil),         // used up
	} {
		outcomes = append(outcomes, err != nil)
	}
	if want := []bool{false, false, false, true, true, false}; !slices.Equal(outcomes, want) {
		t.Errorf("failed: %v; want %v", outcomes, want)
	}
	f.Add(Rule{Fault: FailBefore})
	f.Heal()
	must(t, f.Put(t.Context(), "a", nil))
}

// TestFaultsStrikeWhereTheyCan has rules for everything that can only happen
// to writes.
func TestFaultsStrikeWhereTheyCan(t *testing.T) {
	below := objects.NewMemory()
	must(t, below.Put(t.Context(), "a", nil))
	f := NewFaulty(below, 1, Rule{Fault: Full}, Rule{Fault: FailLate, On: Get | List}, Rule{Fault: Overwrite, On: Get | Delete}, Rule{Fault: Flip, On: List})
	wantObject(t, f, "a", nil)
	wantList(t, f, "", "", "a")
	must(t, f.Delete(t.Context(), "a"))
	if err := f.Put(t.Context(), "a", nil); !errors.Is(err, objects.ErrFull) || len(f.Strikes()) != 1 {
		t.Errorf("Put: %v, after strikes %v", err, f.Strikes())
	}
}

func TestBeforeLetsAnotherWriterIn(t *testing.T) {
	below := objects.NewMemory()
	f := NewFaulty(below, 1)
	f.Before(func(ctx context.Context, op Op, name string) {
		if op == PutIfAbsent {
			must(t, below.PutIfAbsent(ctx, name, []byte("faster")))
		}
	})
	if err := f.PutIfAbsent(t.Context(), "ledger/1", []byte("slower")); !errors.Is(err, objects.ErrExists) {
		t.Errorf("PutIfAbsent after another writer's: %v", err)
	}
}

// TestTroubleIsRepeatable runs the same schedule twice with each seed.
func TestTroubleIsRepeatable(t *testing.T) {
	run := func(seed uint64) (strikes []Strike, names []string) {
		below := objects.NewMemory()
		f := NewFaulty(below, seed, Trouble(0.2)...)
		for i := range 200 {
			name := string(rune('a' + i%20))
			f.PutIfAbsent(t.Context(), name, []byte{byte(i)})
			f.Get(t.Context(), name, 0, -1)
			if i%3 == 0 {
				f.Delete(t.Context(), name)
			}
		}
		f.Settle()
		return f.Strikes(), list(t, below, "", "")
	}
	strikes, names := run(7)
	again, namesAgain := run(7)
	if !slices.Equal(strikes, again) || !slices.Equal(names, namesAgain) {
		t.Error("the same seed gave two different runs")
	}
	if other, _ := run(8); slices.Equal(strikes, other) {
		t.Error("two seeds gave the same run")
	}
	kinds := make(map[Fault]int)
	for _, s := range strikes {
		kinds[s.Fault]++
	}
	for _, fault := range []Fault{FailBefore, FailAfter, FailLate} {
		if kinds[fault] == 0 {
			t.Errorf("%q never struck in %d strikes", fault, len(strikes))
		}
	}
}
