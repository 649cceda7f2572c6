package main

import (
	"bytes"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
)

// Fetch gives out whole messages, headers, header fields and texts, but does
// not take messages apart.
func (s *demoSession) Fetch(w *imapserver.FetchWriter, set imap.NumSet, o *imap.FetchOptions) error {
	apart := func(b *imap.FetchItemBodySection) bool {
		return len(b.Part) > 0 || b.Specifier == imap.PartSpecifierMIME
	}
	if o.Envelope || o.BodyStructure != nil || len(o.BinarySection)+len(o.BinarySectionSize) > 0 || slices.ContainsFunc(o.BodySection, apart) {
		return demoNo(imap.ResponseCodeCannot, "this server does not take messages apart")
	}
	unlock := s.lock()
	chosen := s.choose(set)
	if !s.readOnly && slices.ContainsFunc(o.BodySection, func(b *imap.FetchItemBodySection) bool { return !b.Peek }) {
		for _, c := range chosen {
			if !c.has(imap.FlagSeen) {
				c.set([]imap.Flag{imap.FlagSeen})
				s.folder.tracker.QueueMessageFlags(c.place, c.uid, slices.Clone(c.flags), nil)
			}
		}
	}
	unlock()
	return s.write(w, chosen, o)
}

// write answers with messages. A client that is slow to read does not stop the
// others, so nothing is locked while it is sent to.
func (s *demoSession) write(w *imapserver.FetchWriter, chosen []demoChosen, o *imap.FetchOptions) error {
	for _, c := range chosen {
		if c.seq == 0 {
			continue // it came meanwhile, and this client has not been told yet
		}
		unlock := s.lock()
		flags := slices.Clone(c.flags)
		for _, b := range o.BodySection {
			if b.Specifier == imap.PartSpecifierNone && b.Partial == nil {
				s.server.read++
				s.server.readOctets += int64(len(c.octets))
			}
		}
		unlock()
		r := w.CreateMessage(c.seq)
		r.WriteUID(c.uid)
		if o.Flags {
			r.WriteFlags(flags)
		}
		if o.InternalDate {
			r.WriteInternalDate(c.date)
		}
		if o.RFC822Size {
			r.WriteRFC822Size(int64(len(c.octets)))
		}
		var err error
		for _, b := range o.BodySection {
			octets := demoSection(c.octets, b)
			body := r.WriteBodySection(b, int64(len(octets)))
			if _, err = body.Write(octets); err == nil {
				err = body.Close()
			}
			if err != nil {
				break
			}
		}
		if closeErr := r.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// demoSection cuts a section out of a message, by octets, whatever they mean
// (RFC 9051 section 6.4.5.1).
func demoSection(octets []byte, b *imap.FetchItemBodySection) []byte {
	header := octets[:demoHeaderEnd(octets)]
	switch {
	case b.Specifier == imap.PartSpecifierText:
		octets = octets[len(header):]
	case b.Specifier == imap.PartSpecifierHeader && b.HeaderFields != nil:
		octets = demoFields(header, func(name string) bool { return slices.ContainsFunc(b.HeaderFields, sameName(name)) })
	case b.Specifier == imap.PartSpecifierHeader && b.HeaderFieldsNot != nil:
		octets = demoFields(header, func(name string) bool { return !slices.ContainsFunc(b.HeaderFieldsNot, sameName(name)) })
	case b.Specifier == imap.PartSpecifierHeader:
		octets = header
	}
	if p := b.Partial; p != nil {
		octets = octets[min(p.Offset, int64(len(octets))):]
		octets = octets[:min(p.Size, int64(len(octets)))]
	}
	return octets
}

func sameName(name string) func(string) bool {
	return func(other string) bool { return strings.EqualFold(name, other) }
}

// demoHeaderEnd finds where the header ends, behind the first empty line.
func demoHeaderEnd(octets []byte) int {
	for at := 0; at < len(octets); {
		line, _, found := bytes.Cut(octets[at:], []byte("\n"))
		if !found {
			break
		}
		at += len(line) + 1
		if len(line) == 0 || string(line) == "\r" {
			return at
		}
	}
	return len(octets)
}

// demoFields picks fields of a header, with the empty line behind them.
func demoFields(header []byte, wanted func(name string) bool) (picked []byte) {
	take := false
	for line := range bytes.Lines(header) {
		if line[0] != ' ' && line[0] != '\t' {
			name, _, _ := bytes.Cut(line, []byte(":"))
			take = wanted(string(bytes.TrimRight(name, " \t\r\n")))
		}
		if end := len(bytes.Trim(line, "\r\n")) == 0; take || end {
			picked = append(picked, line...)
		}
	}
	return picked
}
