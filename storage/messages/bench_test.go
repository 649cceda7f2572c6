package messages

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

// plainMessage is about what most mail is: a header of 2 KB, some text.
func plainMessage(size int) []byte {
	var b strings.Builder
	for i := range 12 {
		fmt.Fprintf(&b, "Received: from mail%d.example.org (192.0.2.%d) by mx.example.net with ESMTPS id 4f%dc;\n\tThu, 1 Jan 2026 00:00:%02d +0000\n", i, i, i*7919, i)
	}
	b.WriteString("From: Ann <ann@example.org>\nTo: =?utf-8?Q?Bj=C3=B6rn?= <bob@example.org>\nSubject: =?iso-8859-1?Q?Fr=FChst=FCck?=\nDate: Thu, 1 Jan 2026 00:00:00 +0100\nMessage-ID: <1@example.org>\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n")
	for b.Len() < size {
		b.WriteString("The supply boat came on Tuesday with paraffin, flour and your letter of the\n")
	}
	return []byte(b.String()[:size])
}

func attachmentMessage(octets, line int) []byte {
	return []byte("From: a@example.org\nContent-Type: multipart/mixed; boundary=\"b1\"\n\n--b1\nContent-Type: text/plain\n\nsee attachment\n" +
		"--b1\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n" + lines(encode(random(octets)), line, "\n") + "\n--b1--\n")
}

func crlf(m []byte) []byte { return bytes.ReplaceAll(m, []byte("\n"), []byte("\r\n")) }

var benchMessages = []struct {
	name string
	m    []byte
}{
	{"plain-3K", plainMessage(3000)},
	{"plain-3K-CRLF", crlf(plainMessage(3000))},
	{"attachment-100K", attachmentMessage(75_000, 76)},
	{"attachment-20M", attachmentMessage(15<<20, 76)},
	{"attachment-20M-CRLF", crlf(attachmentMessage(15<<20, 76))},
	{"attachment-20M-one-line", attachmentMessage(15<<20, 1<<30)},
	{"text-20M", plainMessage(20 << 20)},
}

// BenchmarkSplit measures cutting and proof; save does nothing.
func BenchmarkSplit(b *testing.B) {
	for _, c := range benchMessages {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.m)))
			b.ReportAllocs()
			r := bytes.NewReader(c.m)
			for b.Loop() {
				if _, err := Split(r, int64(len(c.m)), func(Kind, []byte) (ID, error) { return ID{}, nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkJoin(b *testing.B) {
	for _, c := range benchMessages {
		b.Run(c.name, func(b *testing.B) {
			s := new(store)
			r, err := Split(bytes.NewReader(c.m), int64(len(c.m)), s.save)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(c.m)))
			b.ReportAllocs()
			for b.Loop() {
				if err := Join(io.Discard, r.Recipe, s.load); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSummarize(b *testing.B) {
	plain, err := os.ReadFile("testdata/plain.eml")
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		m    []byte
	}{{"ASCII", plain}, {"encoded words", plainMessage(3000)}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				header, err := ReadHeader(bytes.NewReader(c.m), int64(len(c.m)), 1<<20)
				if err != nil || Summarize(header).Date.IsZero() {
					b.Fatal("no date", err)
				}
			}
		})
	}
}
