package messages

import (
	"bytes"
	"encoding/base64"
	"io"
	"math/rand"
	"strings"
	"testing"
)

func benchMessage(body int) []byte {
	var b strings.Builder
	for i := range 20 {
		b.WriteString("Received: from mail" + strings.Repeat("x", i) + ".example.org (192.0.2.1) by mx.example.net; Thu, 1 Jan 2004 00:00:00 +0000\n")
	}
	b.WriteString("From: Ann <ann@example.org>\nTo: Bob <bob@example.org>\nSubject: Lunch\nDate: Thu, 1 Jan 2004 00:00:00 +0000\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n")
	for b.Len() < body {
		b.WriteString("The quick brown fox jumps over the lazy dog, and so on, until the line ends.\n")
	}
	return []byte(b.String())
}

func benchMultipart(line, n int, eol string) []byte {
	var b bytes.Buffer
	b.WriteString("From: a@example.org\nContent-Type: multipart/mixed; boundary=\"b1\"\n\n--b1\nContent-Type: text/plain\n\nsee attachment\n--b1\nContent-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n")
	data := make([]byte, n)
	rand.New(rand.NewSource(1)).Read(data)
	enc := base64.StdEncoding.EncodeToString(data)
	for len(enc) > line {
		b.WriteString(enc[:line] + "\n")
		enc = enc[line:]
	}
	b.WriteString(enc + "\n--b1--\n")
	return bytes.ReplaceAll(b.Bytes(), []byte("\n"), []byte(eol))
}

func BenchmarkSplit(b *testing.B) {
	for _, c := range []struct {
		name string
		m    []byte
	}{
		{"3K-LF", benchMessage(3000)},
		{"3K-CRLF", bytes.ReplaceAll(benchMessage(3000), []byte("\n"), []byte("\r\n"))},
		{"attachment-100K", benchMultipart(76, 75000, "\n")},
		{"attachment-20M-LF", benchMultipart(76, 15<<20, "\n")},
		{"attachment-20M-CRLF", benchMultipart(76, 15<<20, "\r\n")},
		{"attachment-20M-oneline", benchMultipart(1<<30, 15<<20, "\r\n")},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.m)))
			b.ReportAllocs()
			r := bytes.NewReader(c.m)
			for b.Loop() {
				_, err := Split(r, int64(len(c.m)), func(Kind, []byte) (ID, error) { return ID{}, nil })
				if err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"/Join", func(b *testing.B) {
			b.SetBytes(int64(len(c.m)))
			b.ReportAllocs()
			s := new(store)
			res, _ := Split(bytes.NewReader(c.m), int64(len(c.m)), s.save)
			for b.Loop() {
				if err := Join(io.Discard, res.Recipe, s.load); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
