package main

import (
	"bytes"
	"encoding/base64"
	"image/png"
	"mime"
	"net/mail"
	"strings"
	"testing"

	"restante/cmd/testbed/rawimap"
	"restante/cmd/testbed/servers"
)

func TestSampleMailIsWellFormed(t *testing.T) {
	t.Parallel()
	all, err := sampleMail()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 30 {
		t.Errorf("only %d messages", len(all))
	}
	ids := make(map[string]bool)
	for _, m := range all {
		if bytes.Count(m.octets, []byte("\n")) != bytes.Count(m.octets, []byte("\r\n")) {
			t.Errorf("line ends other than CRLF in %q", m.octets)
		}
		msg, err := mail.ReadMessage(bytes.NewReader(m.octets))
		if err != nil {
			t.Errorf("%v in %q", err, m.octets)
			continue
		}
		subject, err := new(mime.WordDecoder).DecodeHeader(msg.Header.Get("Subject"))
		if err != nil || subject == "" {
			t.Errorf("subject %q: %v", subject, err)
		}
		id := msg.Header.Get("Message-Id")
		if id == "" || ids[m.folder+id] {
			t.Errorf("%q: Message-ID %q is missing or used twice in %s", subject, id, m.folder)
		}
		ids[m.folder+id] = true
		sent, err := msg.Header.Date()
		if err != nil || sent.After(m.date) || m.date.Sub(sent).Minutes() > 5 {
			t.Errorf("%q was sent at %v and came at %v: %v", subject, sent, m.date, err)
		}
		if !strings.HasPrefix(msg.Header.Get("Content-Type"), "multipart/") {
			continue
		}
		_, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
		if err != nil || !bytes.HasSuffix(m.octets, []byte("--"+params["boundary"]+"--\r\n")) {
			t.Errorf("%q: does not end with its boundary %q: %v", subject, params["boundary"], err)
		}
	}
	picture, err := samplePicture()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := png.Decode(base64.NewDecoder(base64.StdEncoding, strings.NewReader(picture))); err != nil {
		t.Errorf("the sample picture: %v", err)
	}
}

func TestSampleMailIsLoaded(t *testing.T) {
	t.Parallel()
	s, user := servers.IMAP(t), servers.NewUser(t)
	n, err := loadSample(t.Context(), s.Address, user)
	if err != nil {
		t.Fatal(err)
	}
	m := servers.Dump(t, s, user)
	loaded := 0
	for _, f := range m.Folders {
		loaded += len(f.Messages)
	}
	if loaded != n {
		t.Errorf("%d messages were loaded and %d are there", n, loaded)
	}
	if f := m.Folder(rawimap.EncodeName("Gelöschte Objekte")); f == nil || !f.Subscribed || len(f.SpecialUse) != 1 {
		t.Errorf("the trash is %+v", f)
	}
}
