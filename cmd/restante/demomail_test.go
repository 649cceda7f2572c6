package main

import (
	"bytes"
	"encoding/base64"
	"image/png"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestDemoMailIsTheSameEveryTime(t *testing.T) {
	t.Parallel()
	a, err := newDemoWriter()
	if err != nil {
		t.Fatal(err)
	}
	b, err := newDemoWriter()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a.mail, b.mail) || !reflect.DeepEqual(a.arrivals(), b.arrivals()) {
		t.Error("it differs")
	}
}

// The mail is as varied as it says, and but for what is odd on purpose it is
// right: programs that are strict can read it.
func TestDemoMailIsWhatItClaimsToBe(t *testing.T) {
	t.Parallel()
	w, err := newDemoWriter()
	if err != nil {
		t.Fatal(err)
	}
	folders := map[string]bool{}
	for _, f := range demoFolders {
		folders[f.name] = true
	}
	kinds, ids, refused, bytewise := map[string]int{}, map[string]bool{}, 0, map[string]int{}
	for _, m := range append(w.mail, w.arrivals()...) {
		if !folders[m.folder] {
			t.Errorf("there is no folder %q", m.folder)
		}
		bytewise[string(m.octets)]++
		if strings.Contains(string(m.octets), "{") && !strings.Contains(string(m.octets), "<style>") && !strings.Contains(string(m.octets), "base64") {
			t.Errorf("something was not filled in:\n%s", m.octets)
		}
		for line := range bytes.Lines(m.octets) {
			if len(line) > 998 && m.folder != "Junk" {
				t.Errorf("a line of %d octets in %s", len(line), m.folder)
			}
		}
		parsed, err := mail.ReadMessage(bytes.NewReader(m.octets))
		if err != nil {
			if refused++; !bytes.HasPrefix(m.octets, []byte("this line is no header field")) {
				t.Errorf("%v:\n%s", err, m.octets)
			}
			continue
		}
		id := parsed.Header.Get("Message-ID")
		if ids[id] && id != "" && bytewise[string(m.octets)] == 1 {
			t.Errorf("%s twice", id)
		}
		ids[id] = true
		if encoded := parsed.Header.Get("Subject"); encoded != "" && m.folder != "Junk" {
			if subject, err := new(mime.WordDecoder).DecodeHeader(encoded); err != nil || !utf8.ValidString(subject) {
				t.Errorf("subject %q: %v", encoded, err)
			}
			if strings.HasPrefix(encoded, "=?") {
				kinds["encoded subject"]++
			}
		}
		partsOf(t, kinds, parsed.Header.Get, parsed.Body)
	}
	if refused != 1 {
		t.Errorf("%d messages cannot be read, and one is broken on purpose", refused)
	}
	twice := 0
	for _, n := range bytewise {
		if n > 1 {
			twice++
		}
	}
	if twice != 1 {
		t.Errorf("%d messages are there twice", twice)
	}
	for _, kind := range []string{"quoted-printable", "8bit", "7bit", "base64", "iso-8859-1", "utf-8", "text/html", "multipart/alternative", "multipart/mixed",
		"image/png", "application/pdf", "text/csv", "message/rfc822", "encoded subject"} {
		if kinds[kind] == 0 {
			t.Errorf("there is no %s in it; there is %v", kind, kinds)
		}
	}
}

// partsOf counts what a message is made of and decodes it.
func partsOf(t *testing.T, kinds map[string]int, header func(string) string, body io.Reader) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(header("Content-Type"))
	if header("Content-Type") == "" {
		return
	}
	if err != nil {
		t.Errorf("%q: %v", header("Content-Type"), err)
		return
	}
	encoding := header("Content-Transfer-Encoding")
	kinds[kind]++
	kinds[encoding]++
	kinds[params["charset"]]++
	if strings.HasPrefix(kind, "multipart/") {
		r := multipart.NewReader(body, params["boundary"])
		for {
			part, err := r.NextRawPart()
			if err == io.EOF {
				return
			}
			if err != nil {
				t.Errorf("%s: %v", kind, err)
				return
			}
			partsOf(t, kinds, part.Header.Get, part)
		}
	}
	switch encoding {
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	}
	octets, err := io.ReadAll(body)
	if err != nil {
		t.Errorf("%s in %s: %v", kind, encoding, err)
	}
	switch {
	case kind == "image/png":
		_, err = png.Decode(bytes.NewReader(octets))
	case kind == "application/pdf" && (!bytes.HasPrefix(octets, []byte("%PDF-")) || !bytes.HasSuffix(octets, []byte("%%EOF\n"))):
		t.Errorf("a PDF of %d octets that is none", len(octets))
	case params["charset"] == "utf-8" && !utf8.Valid(octets), params["charset"] == "us-ascii" && strings.IndexFunc(string(octets), func(r rune) bool { return r > 0x7e }) >= 0:
		t.Errorf("a text in another charset than it says:\n%s", octets)
	}
	if err != nil {
		t.Errorf("%s: %v", kind, err)
	}
}
