package objects

import (
	"context"
	"errors"
	"sync"
	"time"
)

// checkOneWinner races for several names. A writer that gets no clear answer
// may have won without knowing.
func (p *prober) checkOneWinner(ctx context.Context) error {
	for race := range p.races {
		name := p.name("race-%d", race)
		// Longer objects leave a careless store more time between looking
		// and storing.
		size := []int{100, 20_000, 64 << 10}[race%3]
		data := make([][]byte, p.writers)
		answers := make([]error, p.writers)
		start := make(chan struct{})
		var group sync.WaitGroup
		for w := range p.writers {
			data[w] = randomOctets(size + w)
			group.Go(func() {
				<-start
				answers[w] = p.store.PutIfAbsent(ctx, name, data[w])
			})
		}
		close(start)
		group.Wait()

		var winners int
		var unclear error
		var possible [][]byte
		for w, err := range answers {
			switch {
			case err == nil:
				winners++
				possible = append(possible, data[w])
			case isAny(err, ErrRefused, ErrFull), ctx.Err() != nil:
				return err
			case !errors.Is(err, ErrExists):
				unclear = err
			}
		}
		if winners > 1 {
			return broke("%d of %d writers of one name were told that theirs is stored", winners, p.writers)
		}
		if winners == 0 && unclear != nil {
			return unclear
		}
		if winners == 0 {
			return broke("all of %d writers of a new name were told that it exists already", p.writers)
		}
		if err := p.expect(ctx, name, possible[0], "one writer of many was told that its object is stored"); err != nil {
			return err
		}
	}
	return nil
}

func (p *prober) checkNeverAgain(ctx context.Context) error {
	first := randomOctets(1000)
	for _, by := range []string{"put", "put-if-absent"} {
		name := p.name("again-%s", by)
		store := p.store.Put
		if by == "put-if-absent" {
			store = p.store.PutIfAbsent
		}
		if err := store(ctx, name, first); err != nil {
			return unexpected(err, "")
		}
		for _, second := range [][]byte{randomOctets(1000), randomOctets(2000), {}, first} {
			err := p.store.PutIfAbsent(ctx, name, second)
			if err == nil {
				return broke("put-if-absent of a name whose object came by %s was told that it is stored", by)
			}
			if !errors.Is(err, ErrExists) {
				return err
			}
			if err := p.expect(ctx, name, first, "a put-if-absent that found an object"); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkLostReplies gives up waiting for answers, sooner and later, and then
// has somebody else try for the same name.
func (p *prober) checkLostReplies(ctx context.Context) error {
	const tries = 6
	type outcome struct {
		name  string
		bytes []byte
	}
	var outcomes []outcome
	for try := range tries {
		name := p.name("lost-%d", try)
		mine, theirs := randomOctets(2000), randomOctets(2000)
		impatient, cancel := context.WithTimeout(ctx, time.Duration(try*try)*time.Millisecond)
		first := p.store.PutIfAbsent(impatient, name, mine)
		cancel()
		if errors.Is(first, ErrExists) {
			return broke("put-if-absent of a new name was told that it exists already")
		}
		if isAny(first, ErrRefused, ErrFull) || ctx.Err() != nil {
			return first
		}
		second := p.store.PutIfAbsent(ctx, name, theirs)
		switch {
		case first == nil && second == nil:
			return broke("two writers of one name, one after the other, were both told that theirs is stored")
		case second == nil:
			outcomes = append(outcomes, outcome{name, theirs})
		case errors.Is(second, ErrExists):
			outcomes = append(outcomes, outcome{name, mine})
		default:
			return second
		}
	}
	// Twice: a first try that arrives late must not replace the second.
	for range 2 {
		for _, o := range outcomes {
			if err := p.expect(ctx, o.name, o.bytes, "a put-if-absent had no answer and another writer tried the same name"); err != nil {
				return err
			}
		}
		for _, o := range outcomes {
			err := p.store.PutIfAbsent(ctx, o.name, o.bytes)
			if err == nil {
				return broke("a second put-if-absent of the very same object was told that it is stored, and not that it exists")
			}
			if !errors.Is(err, ErrExists) {
				return err
			}
		}
	}
	return nil
}
