package weather

import (
	"math/rand/v2"
	"time"
)

// A Fault is a thing that goes wrong.
type Fault string

// Faults of connections. A connection has one of the first six at most.
const (
	Hole       Fault = "black hole"  // it is taken, and nothing is answered
	Reset      Fault = "reset"       // RST in the middle
	Silence    Fault = "silence"     // from some octet on nothing comes any more, one way or both
	HalfClosed Fault = "half closed" // from some octet on one way is at its end, and the other is not
	Cut        Fault = "cut"         // FIN in the middle
	Flipped    Fault = "wrong bit"   // for connections with TLS only, which see it

	Late Fault = "latency" // and jitter
	Drip Fault = "drip"    // octet by octet, for a while
	Slow Fault = "slow"    // few octets a second
)

// Faults of the answers to requests of HTTP.
const (
	WrongBody Fault = "wrong bit in a body"
	Truncated Fault = "truncated body" // its length is given rightly
	Repeated  Fault = "answer again"   // the answer to an earlier request
	Swapped   Fault = "swapped answers"
	SlowDown  Fault = "503 SlowDown" // to some requests in a row
	Applied   Fault = "500 though done"
	Skewed    Fault = "403 RequestTimeTooSkewed"
	Elsewhere Fault = "307 to nowhere"
)

var (
	ends   = []Fault{Hole, Reset, Silence, HalfClosed, Cut, Flipped}
	spoils = []Fault{Truncated, WrongBody, Repeated, Swapped, Applied, Skewed, Elsewhere}
)

// Odds are how likely faults are: of 1, for each connection or each request.
type Odds map[Fault]float64

// Storm is how many requests in a row are told to slow down, or not.
const storm = 6

// source is what the n-th of its kind is made of.
func source(seed uint64, kind, n uint64) *rand.Rand { return rand.New(rand.NewPCG(seed+kind<<56, n)) }

const (
	ofConnections = iota
	ofRequests
	ofStorms
	ofJourneys
)

// pick draws one of the faults, or none.
func (o Odds) pick(random *rand.Rand, of []Fault) Fault {
	x := random.Float64()
	for _, f := range of {
		if x -= o[f]; x < 0 {
			return f
		}
	}
	return ""
}

// A trip is what a connection goes through.
type trip struct {
	n    uint64
	seed uint64

	end    Fault // of ends, or none
	up     bool  // it is octets to the server that are counted, and stopped
	both   bool  // Silence: of both ways
	stuff  bool  // Silence: nothing is taken any more, else it is thrown away
	after  int64 // octets
	bit    byte  // Flipped
	latest time.Duration
	drip   bool
	rate   int64 // octets a second; 0: as fast as it goes
}

// trip is that of the n-th connection.
func (o Odds) trip(seed, n uint64) trip {
	random := source(seed, ofConnections, n)
	t := trip{n: n, seed: seed, up: random.IntN(2) == 0, both: random.IntN(2) == 0, stuff: random.IntN(2) == 0}
	// In the greeting as well as in the middle of a large message.
	t.after = 1 + random.Int64N(int64(1)<<(1+random.IntN(18)))
	t.bit = 1 << random.IntN(8)
	t.end = o.pick(random, ends)
	if random.Float64() < o[Late] {
		t.latest = time.Millisecond << random.IntN(6)
	}
	if t.drip = random.Float64() < o[Drip]; t.drip {
		t.latest = 0 // it would be that of each octet
	}
	if random.Float64() < o[Slow] {
		t.rate = 50_000 << random.IntN(5)
	}
	return t
}

// styles are the faults of a trip that it has from its first octet on.
func (t trip) styles() (list []Fault) {
	for f, has := range map[Fault]bool{Late: t.latest > 0, Drip: t.drip, Slow: t.rate > 0} {
		if has {
			list = append(list, f)
		}
	}
	return list
}

// spoil is what happens to the n-th request; at is where in its answer, of 1.
func (o Odds) spoil(seed, n uint64) (f Fault, at float64) {
	random := source(seed, ofRequests, n)
	at = random.Float64()
	if source(seed, ofStorms, n/storm).Float64() < o[SlowDown] {
		return SlowDown, at
	}
	return o.pick(random, spoils), at
}
