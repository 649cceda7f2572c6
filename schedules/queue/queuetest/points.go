package queuetest

import (
	"iter"
	"math/rand/v2"
	"os"
)

// Faults are all there are.
func Faults() []Fault { return []Fault{NotDone, Lost, Gone} }

// Points yields which of so many operations are to fail, from 0: a share of most
// of them or a few more, another one each time, or all where RESTANTE_LONG is
// set.
func Points(operations, most int) iter.Seq[int] {
	step := 1
	if os.Getenv("RESTANTE_LONG") == "" {
		step = max(1, operations/most)
	}
	return func(yield func(int) bool) {
		for at := rand.IntN(step); at < operations; at += step {
			if !yield(at) {
				return
			}
		}
	}
}
