package imapconn

import (
	"bytes"
	"slices"
	"strings"
)

// capSet holds the server's own capabilities in upper case.
type capSet []string

func capsOf(list []byte) capSet {
	var c capSet
	for _, w := range bytes.Fields(list) {
		if len(c) < 1000 && isAtom(w) {
			c = append(c, strings.ToUpper(string(w)))
		}
	}
	return c
}

func (c capSet) has(name string) bool { return slices.Contains(c, name) }

// hidden are the capabilities that go-imap must not see: what is done here
// (LITERAL+, COMPRESS, ID), what is over (logging in), and what it would make
// use of to its own harm. With IMAP4rev2 in sight it writes folder names in
// UTF-8 without having enabled that; with UTF8=ACCEPT enabled it still reads
// them as modified UTF-7; answers to QRESYNC and NOTIFY end its connection.
var hidden = []string{
	"LITERAL+", "LITERAL-", "COMPRESS=", "ID", "STARTTLS", "LOGINDISABLED", "AUTH=", "SASL-IR",
	"IMAP4REV2", "UTF8=", "ENABLE", "QRESYNC", "NOTIFY", "UIDONLY", "UNAUTHENTICATE",
}

// inRev2 are the extensions that IMAP4rev2 includes and go-imap can use. A
// server need not list them beside it (RFC 9051 appendix E).
var inRev2 = []string{
	"NAMESPACE", "UNSELECT", "UIDPLUS", "ESEARCH", "SEARCHRES", "IDLE", "LIST-EXTENDED",
	"LIST-STATUS", "MOVE", "STATUS=SIZE", "CHILDREN", "SPECIAL-USE",
}

// shownCaps are the capabilities that go-imap sees.
func shownCaps(c capSet) []string {
	show := []string{"IMAP4rev1"}
	for _, name := range c {
		if name != "IMAP4REV1" && !slices.ContainsFunc(hidden, func(h string) bool {
			return name == h || strings.HasSuffix(h, "=") && strings.HasPrefix(name, h)
		}) {
			show = append(show, name)
		}
	}
	// QRESYNC implies CONDSTORE (RFC 7162 section 3.2.3).
	if c.has("QRESYNC") && !c.has("CONDSTORE") {
		show = append(show, "CONDSTORE")
	}
	if c.has("IMAP4REV2") {
		for _, name := range inRev2 {
			if !c.has(name) {
				show = append(show, name)
			}
		}
	}
	return show
}
