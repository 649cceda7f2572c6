package objectstest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"restante/storage/objects"
)

// ErrInjected is in every error that Faulty made up.
var ErrInjected = errors.New("injected fault")

// Op is an operation of a store, or several of them: Put | PutIfAbsent.
type Op uint8

const (
	Put Op = 1 << iota
	PutIfAbsent
	Get
	List
	Delete

	Write = Put | PutIfAbsent | Delete
	Any   = Write | Get | List
)

// Fault is what goes wrong.
type Fault string

// What can happen to an honest store. A program must survive all of it.
const (
	FailBefore Fault = "fail before" // an error; nothing was done
	FailAfter  Fault = "fail after"  // an error, but it was done: the reply is lost. A List fails half-way
	FailLate   Fault = "fail late"   // of a write: an error; it is done some time later (see Faulty.Settle)
	Hang       Fault = "hang"        // nothing is done, and nothing is said until the context ends
	HangAfter  Fault = "hang after"  // it is done, and nothing is said until the context ends
	Full       Fault = "full"        // of a put: ErrFull
	Refuse     Fault = "refuse"      // ErrRefused
)

// What only a broken store does. A program must notice, or at least lose
// nothing but what the store lost.
const (
	Lose      Fault = "lose"      // Get: ErrNotFound, though it is there. List: one is left out. A write: nil, but nothing was done
	Flip      Fault = "flip"      // one bit is wrong of what Get returns, or of what a put stores
	Shorten   Fault = "shorten"   // likewise, the second half is missing. List: it just ends half-way
	Overwrite Fault = "overwrite" // PutIfAbsent stores in any case, as a store does that ignores If-None-Match
)

// possible returns the operations that a fault can happen to.
func (f Fault) possible() Op {
	switch f {
	case FailLate:
		return Write
	case Full:
		return Put | PutIfAbsent
	case Flip:
		return Put | PutIfAbsent | Get
	case Shorten:
		return Put | PutIfAbsent | Get | List
	case Overwrite:
		return PutIfAbsent
	}
	return Any
}

// Rule says which operations fail, and how. A Rule with nothing but a Fault
// strikes always, every operation that the fault can happen to.
type Rule struct {
	Fault  Fault
	On     Op      // 0 means all that the fault can happen to
	Prefix string  // of the name, or of a List's prefix
	Skip   int     // how many matching operations go well first
	Times  int     // how often it strikes; 0 means for ever
	Chance float64 // between 0 and 1, decided by the seeded source; 0 means always
}

// Trouble returns rules by which every operation meets, with that chance each,
// an error before it, a lost reply and, if it is a write, that it is done late.
func Trouble(chance float64) []Rule {
	return []Rule{
		{Fault: FailBefore, Chance: chance},
		{Fault: FailAfter, Chance: chance},
		{Fault: FailLate, Chance: chance},
	}
}

// Faulty is a Store that fails on purpose. The first rule that matches an
// operation strikes. With the same seed, and operations in the same order, the
// same faults happen.
//
//	store := objectstest.NewFaulty(objects.NewMemory(), seed,
//		objectstest.Rule{Fault: objectstest.FailAfter, On: objectstest.PutIfAbsent, Prefix: "ledger/", Times: 1})
type Faulty struct {
	store objects.Store

	mu     sync.Mutex
	random *rand.Rand // guarded by mu, as all below
	rules  []*Rule
	before func(ctx context.Context, op Op, name string)
	late   []func()
	struck []Strike
}

// Strike is a fault that happened.
type Strike struct {
	Fault Fault
	On    Op
	Name  string
}

// NewFaulty returns a store that does what store does, except for the rules.
func NewFaulty(store objects.Store, seed uint64, rules ...Rule) *Faulty {
	f := &Faulty{store: store, random: rand.New(rand.NewPCG(seed, 0))}
	f.Add(rules...)
	return f
}

// Add adds rules after those that are there. Each counts its own Skip and
// Times from now on.
func (f *Faulty) Add(rules ...Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range rules {
		f.rules = append(f.rules, &r)
	}
}

// Heal removes all rules. What is late stays late until Settle.
func (f *Faulty) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = nil
}

// Before has do called at the start of every operation, before any fault: to
// let another writer step in between, to count, to stop a clock. do may use
// the store below, not this one. nil removes it.
func (f *Faulty) Before(do func(ctx context.Context, op Op, name string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = do
}

// Settle does what FailLate has left for later. Some of it is also done before
// later operations, as the seeded source has it.
func (f *Faulty) Settle() {
	f.mu.Lock()
	late := f.late
	f.late = nil
	f.mu.Unlock()
	for _, do := range late {
		do()
	}
}

// Late returns how many operations wait to be done.
func (f *Faulty) Late() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.late)
}

// Strikes returns all faults so far.
func (f *Faulty) Strikes() []Strike {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.struck)
}

// next decides what happens to an operation: "" is nothing.
func (f *Faulty) next(ctx context.Context, op Op, name string) Fault {
	f.mu.Lock()
	before := f.before
	var due []func()
	f.late = slices.DeleteFunc(f.late, func(do func()) bool {
		if f.random.IntN(4) != 0 {
			return false
		}
		due = append(due, do)
		return true
	})
	fault := f.strike(op, name)
	f.mu.Unlock()
	if before != nil {
		before(ctx, op, name)
	}
	for _, do := range due {
		do()
	}
	return fault
}

// strike finds the first rule that hits. f.mu is held.
func (f *Faulty) strike(op Op, name string) Fault {
	for _, r := range f.rules {
		switch {
		case r.On != 0 && r.On&op == 0, r.Fault.possible()&op == 0, !strings.HasPrefix(name, r.Prefix), r.Times < 0:
			continue
		case r.Skip > 0:
			r.Skip--
			continue
		case r.Chance > 0 && f.random.Float64() >= r.Chance:
			continue
		}
		if r.Times > 0 {
			if r.Times--; r.Times == 0 {
				r.Times = -1 // used up
			}
		}
		f.struck = append(f.struck, Strike{r.Fault, op, name})
		return r.Fault
	}
	return ""
}

func (f *Faulty) roll(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.random.IntN(n)
}

// String names the operations as an error message does.
func (op Op) String() string {
	var names []string
	for i, name := range []string{"put", "put if absent", "get", "list", "delete"} {
		if op&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}
