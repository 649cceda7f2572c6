package localsource

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"restante/backup"
)

// size returns how many messages benchmarks are about: 10,000, or what
// RESTANTE_BENCH_MESSAGES says. Each has about 10.5 KB.
func size(b *testing.B) int {
	text := os.Getenv("RESTANTE_BENCH_MESSAGES")
	if text == "" {
		return 10_000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

func benchMessage(w *bufio.Writer, i int) {
	fmt.Fprintf(w, "From: sender%d@example.org\nTo: somebody@example.org\nSubject: message %d\nDate: Sat, 3 Jan 1998 01:05:34 +0100\nMessage-ID: <%d@example.org>\n\n", i%1000, i, i)
	for j := range 150 {
		fmt.Fprintf(w, "line %d of message %d, with some words to fill it up to its end %x\n", j, i, uint32(i*2654435761+j))
	}
}

// benchTree makes an mbox file, or a Maildir, of that many messages.
func benchTree(b *testing.B, kind string, n int) string {
	root := b.TempDir()
	if kind == "maildir" {
		maildir(b, root)
		for i := range n {
			f, err := os.Create(fmt.Sprintf("%s/cur/%d.M%dP1.host,S=10000:2,S", root, 1_600_000_000+i, i%1_000_000))
			if err != nil {
				b.Fatal(err)
			}
			w := bufio.NewWriter(f)
			benchMessage(w, i)
			if err := w.Flush(); err != nil {
				b.Fatal(err)
			}
			f.Close()
		}
		return root
	}
	f, err := os.Create(filepath.Join(root, "INBOX"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	for i := range n {
		w.WriteString(fromLine)
		benchMessage(w, i)
		w.WriteByte('\n')
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	return root
}

// peak returns the largest heap, dead objects included, until it is called.
func peak() func() float64 {
	var most atomic.Uint64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
		for {
			metrics.Read(sample)
			most.Store(max(most.Load(), sample[0].Value.Uint64()+sample[1].Value.Uint64()))
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	return func() float64 {
		close(stop)
		<-stopped
		return float64(most.Load()) / (1 << 20)
	}
}

// Reading a folder: all of it for the first time, and finding that nothing of
// it is new.
func BenchmarkFolder(b *testing.B) {
	n := size(b)
	for _, kind := range []string{"mbox", "maildir"} {
		root := benchTree(b, kind, n)
		var keys map[string]uint32
		for _, again := range []bool{false, true} {
			name := kind + "/first"
			if again {
				name = kind + "/again"
			}
			b.Run(name, func(b *testing.B) {
				most := peak()
				var octets int64
				for b.Loop() {
					octets = 0
					src := open(b, kind, root)
					known := backup.Known{}
					if again {
						known = backup.Known{UIDValidity: validity, UIDNext: uint32(n + 1), Keys: func() (map[string]uint32, error) { return keys, nil }}
					}
					list, err := src.List(b.Context())
					if err != nil {
						b.Fatal(err)
					}
					m, err := src.Open(b.Context(), list[0], known)
					if err != nil {
						b.Fatal(err)
					}
					uids, err := m.UIDs(b.Context())
					if err != nil || len(uids) != n {
						b.Fatal(len(uids), err)
					}
					if again {
						octets = int64(m.Status().UIDNext)
						if m.Status().UIDNext != uint32(n+1) {
							b.Fatal("there are new messages")
						}
						err = m.Flags(b.Context(), 0, func(uint32, []string) {})
					} else {
						keys = make(map[string]uint32, n)
						for from := 0; from < n && err == nil; from += 512 {
							err = m.Fetch(b.Context(), uids[from:min(from+512, n)], func(f *backup.Fetched) error {
								octets += f.Size
								keys[strings.Clone(f.Key)] = f.UID
								return nil
							})
						}
						if len(keys) != n {
							b.Fatal(len(keys))
						}
					}
					if err != nil {
						b.Fatal(err)
					}
					m.Close()
					src.Close()
				}
				if !again {
					b.SetBytes(octets)
				}
				b.ReportMetric(most(), "peak-MiB")
			})
		}
	}
}
