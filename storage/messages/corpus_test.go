package messages

import (
	"bytes"
	"hash/maphash"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// corpus returns the folders of the corpus, each a set of messages.
func corpus(t testing.TB) []string {
	dir := os.Getenv("RESTANTE_CORPUS")
	if dir == "" {
		t.Skip("RESTANTE_CORPUS is not set; it names a directory with folders of messages and mboxes")
	}
	sets, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(sets) == 0 {
		t.Fatalf("no sets in %s (%v)", dir, err)
	}
	return sets
}

var fromLine = regexp.MustCompile(`(?m)^From .*\n`)

// eachMessage calls f with every file of a set, and with what stands between
// the From_ lines of those that look like an mbox.
func eachMessage(t testing.TB, set string, f func(m []byte)) {
	err := filepath.WalkDir(set, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		m, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		ends := fromLine.FindAllIndex(m, -1)
		if len(ends) < 2 {
			f(m)
			return nil
		}
		for i, at := range ends {
			next := len(m)
			if i+1 < len(ends) {
				next = ends[i+1][0]
			}
			f(m[at[1]:next])
		}
		f(m)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Every message there is, and what becomes of it on the way, must come back.
func TestCorpusIdentity(t *testing.T) {
	for _, set := range corpus(t) {
		t.Run(filepath.Base(set), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewSource(1))
			messages, parts, decoded := 0, 0, 0
			eachMessage(t, set, func(m []byte) {
				r, _ := splitJoin(t, m)
				messages++
				parts += r.Parts
				decoded += r.Decoded
				if crlf := bytes.ReplaceAll(bytes.ReplaceAll(m, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n")); !bytes.Equal(crlf, m) {
					splitJoin(t, crlf)
				}
				if len(m) > 0 {
					splitJoin(t, m[:rnd.Intn(len(m))])
					from := rnd.Intn(len(m))
					splitJoin(t, m[from:from+rnd.Intn(len(m)-from)])
				}
				// A header is found where Split finds it, and can be shown.
				header, err := ReadHeader(bytes.NewReader(m), int64(len(m)), 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				checkSummary(t, Summarize(header))
			})
			t.Logf("%d messages, %d parts, %d decoded, none stored whole", messages, parts, decoded)
		})
	}
}

// BenchmarkCorpus cuts every set and reports what cutting does for it. It
// measures no more than cutting and the proof: parts are hashed, not kept.
func BenchmarkCorpus(b *testing.B) {
	seed := maphash.MakeSeed()
	for _, set := range corpus(b) {
		b.Run(filepath.Base(set), func(b *testing.B) {
			var messages [][]byte
			octets := 0
			eachMessage(b, set, func(m []byte) {
				if len(messages) == 0 || len(m) < 8<<20 { // no whole mboxes of a big set
					messages = append(messages, m)
					octets += len(m)
				}
			})
			var parts, decoded, fallbacks, again int
			seen := map[uint64]bool{}
			for _, m := range messages {
				r, err := Split(bytes.NewReader(m), int64(len(m)), func(_ Kind, part []byte) (ID, error) {
					sum := maphash.Bytes(seed, part)
					if seen[sum] {
						again += len(part)
					}
					seen[sum] = true
					return ID{}, nil
				})
				if err != nil {
					b.Fatal(err)
				}
				parts += r.Parts
				decoded += r.Decoded
				if r.Fallback {
					fallbacks++
				}
			}
			save := func(Kind, []byte) (ID, error) { return ID{}, nil }
			b.SetBytes(int64(octets))
			b.ReportAllocs()
			start := time.Now()
			for b.Loop() {
				for _, m := range messages {
					if _, err := Split(bytes.NewReader(m), int64(len(m)), save); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.N*len(messages))/time.Since(start).Seconds(), "messages/s")
			b.ReportMetric(float64(len(messages)), "messages")
			b.ReportMetric(float64(parts), "parts")
			b.ReportMetric(float64(decoded), "decoded")
			b.ReportMetric(float64(again), "octets-again")
			b.ReportMetric(float64(fallbacks), "fallbacks")
		})
	}
}
