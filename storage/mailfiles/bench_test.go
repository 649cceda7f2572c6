package mailfiles

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkEnronScan goes through all Enron mboxes: octets and messages a
// second, with the sums of every message.
func BenchmarkEnronScan(b *testing.B) {
	var names []string
	var size int64
	for _, name := range files(b, corpus(b, "enron")) {
		if info, err := os.Stat(name); err == nil {
			size += info.Size()
			names = append(names, name)
		}
	}
	messages := 0
	b.SetBytes(size)
	for b.Loop() {
		for _, name := range names {
			m, err := OpenMbox(name, MboxOptions{})
			if err != nil {
				b.Fatal(err)
			}
			for _, err := range m.Messages(b.Context()) {
				if err != nil {
					b.Fatal(err)
				}
				messages++
			}
			m.Close()
		}
	}
	b.ReportMetric(float64(messages)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkEnronRead does the same and opens every message, as a backup does.
func BenchmarkEnronRead(b *testing.B) {
	name := filepath.Join(corpus(b, "enron"), "lay-k")
	all := files(b, name)
	var size int64
	messages := 0
	for b.Loop() {
		for _, name := range all {
			m, err := OpenMbox(name, MboxOptions{})
			if err != nil {
				b.Fatal(err)
			}
			for msg, err := range m.Messages(b.Context()) {
				if err != nil {
					b.Fatal(err)
				}
				n, err := io.Copy(io.Discard, m.Open(msg))
				if err != nil {
					b.Fatal(err)
				}
				size += n
				messages++
			}
			m.Close()
		}
	}
	b.SetBytes(size / int64(b.N))
	b.ReportMetric(float64(messages)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkMboxWrite and BenchmarkMboxUnquote are about one message of 1 MiB
// with many lines.
var manyLines = strings.Repeat("Some text of a line as people write it, more or less.\r\nFrom time to time one like this.\r\n", 10_000)

func BenchmarkMboxWrite(b *testing.B) {
	b.SetBytes(int64(len(manyLines)))
	w := NewMboxWriter(io.Discard, "")
	for b.Loop() {
		if _, err := w.Write(b.Context(), Delivery{}, strings.NewReader(manyLines)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMboxUnquote(b *testing.B) {
	b.SetBytes(int64(len(manyLines)))
	var file bytes.Buffer
	if _, err := NewMboxWriter(&file, "").Write(b.Context(), Delivery{}, strings.NewReader(manyLines)); err != nil {
		b.Fatal(err)
	}
	m, all := parse(b, file.String(), MboxOptions{})
	for b.Loop() {
		if n, err := io.Copy(io.Discard, m.Open(all[0])); err != nil || n != int64(len(manyLines)) {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkMboxWriteSmall(b *testing.B) {
	text := manyLines[:2500]
	b.SetBytes(int64(len(text)))
	w := NewMboxWriter(io.Discard, "")
	for b.Loop() {
		if _, err := w.Write(b.Context(), Delivery{}, strings.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMaildirDeliver writes small messages in batches of different sizes.
func BenchmarkMaildirDeliver(b *testing.B) {
	text := strings.Repeat("x", 2500)
	for _, batch := range []int{1, 100} {
		b.Run(fmt.Sprint("batch=", batch), func(b *testing.B) {
			f, _ := inbox(b)
			w := f.Writer(batch)
			for b.Loop() {
				if _, err := w.Deliver(b.Context(), Delivery{Flags: []string{`\Seen`}}, strings.NewReader(text)); err != nil {
					b.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkMaildirList lists a folder of 10,000 messages, and opens them.
func BenchmarkMaildirList(b *testing.B) {
	f, root := inbox(b)
	for i := range 10_000 {
		write(b, root, fmt.Sprintf("cur/%d.M1P1Q%d.host,S=1:2,S", 1_000_000_000+i, i), "x")
	}
	b.Run("list", func(b *testing.B) {
		for b.Loop() {
			if l := list(b, f); l.Len() != 10_000 {
				b.Fatal(l.Len())
			}
		}
	})
	b.Run("stat", func(b *testing.B) {
		l := list(b, f)
		for b.Loop() {
			for m := range l.Messages() {
				if _, err := f.Stat(b.Context(), m.Key); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		l := list(b, f)
		for b.Loop() {
			for m := range l.Messages() {
				get(b, f, m.Key)
			}
		}
	})
}
