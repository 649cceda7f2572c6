package imapconn

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-imap/v2"
)

// Names of folders consist of levels, with a delimiter between them, and where
// an account's own folders stand, every server has its way: some begin all
// names but INBOX with "INBOX.", say.

// Namespaces are what a server says of the names of an account's folders (RFC
// 2342).
type Namespaces struct {
	// Prefix is what the names of the account's own folders begin with. It ends
	// in the delimiter, if there is one, and is no part of what people call a
	// folder.
	Prefix string
	// Delimiter stands between the levels of the account's own folders; 0: it
	// has none, or the server does not say.
	Delimiter rune
	// Others are the prefixes of further namespaces: of the account, of other
	// users, of all users. They may be aliases: see [RawName].
	Others []string
}

// Namespaces asks for them. There are none where the server cannot tell.
func (c *Conn) Namespaces() (n Namespaces, err error) {
	if !c.Caps().Has(imap.CapNamespace) {
		return n, nil
	}
	data, err := c.Client.Namespace().Wait()
	if err != nil {
		err = c.Explain(err)
		if no, ok := errors.AsType[*imap.Error](err); ok && no.Code == "" && !errors.Is(err, ErrBusy) {
			return n, nil // it says that it can, and cannot
		}
		return n, fmt.Errorf("NAMESPACE: %w", err)
	}
	for i, d := range slices.Concat(data.Personal, data.Other, data.Shared) {
		prefix := d.Prefix
		octets, isRaw := RawName(prefix)
		switch {
		case prefix == "" || d.Delim == 0:
		case isRaw && !bytes.HasSuffix(octets, []byte(string(d.Delim))):
			prefix = AliasName(append(octets, string(d.Delim)...))
		case !isRaw && !strings.HasSuffix(prefix, string(d.Delim)):
			prefix += string(d.Delim) // RFC 2342 section 5 wants it there
		}
		switch {
		case i == 0 && len(data.Personal) > 0:
			if n.Delimiter = d.Delim; !isRaw { // else it stays a part of the names
				n.Prefix = prefix
			}
		case prefix != "":
			n.Others = append(n.Others, prefix)
		}
	}
	return n, nil
}

// mostLevels is how many levels are told apart; what is deeper is one level.
const mostLevels = 100

// Levels cuts a name, as LIST gives it, into levels, without the account's own
// prefix. raw are the octets of the name where Join does not give it back.
func (n Namespaces) Levels(name string, delimiter rune) (levels []string, raw []byte) {
	shown := name
	if octets, isRaw := RawName(name); isRaw {
		raw = octets
		shown = printable(octets)
	}
	own, isOwn := n.cut(shown, delimiter)
	levels = []string{own}
	if delimiter != 0 {
		levels = strings.SplitN(own, string(delimiter), mostLevels)
	}
	if !isOwn && strings.EqualFold(levels[0], "INBOX") {
		levels[0] = "INBOX" // the one name whose case means nothing (RFC 9051 section 5.1)
	}
	if raw == nil && n.Join(levels, delimiter) != name {
		raw = EncodeName(name)
	}
	return levels, raw
}

// Join makes a name, as LIST gives it, of levels, none of which holds the
// delimiter.
func (n Namespaces) Join(levels []string, delimiter rune) string {
	between := ""
	if delimiter != 0 {
		between = string(delimiter)
	}
	name := strings.Join(levels, between)
	_, isOwn := n.cut(name, delimiter)
	switch {
	case name == "INBOX", n.other(name), strings.HasPrefix(name, n.Prefix) && !isOwn:
		return name // Levels takes nothing off
	}
	return n.Prefix + name
}

// cut takes the prefix off a name, where what is left cannot be mistaken for
// INBOX or for what stands in another namespace.
func (n Namespaces) cut(name string, delimiter rune) (rest string, isOwn bool) {
	rest, ok := strings.CutPrefix(name, n.Prefix)
	if !ok || n.Prefix == "" || rest == "" || n.other(rest) {
		return name, false
	}
	first := rest
	if delimiter != 0 {
		first, _, _ = strings.Cut(rest, string(delimiter))
	}
	if strings.EqualFold(first, "INBOX") {
		return name, false
	}
	return rest, true
}

func (n Namespaces) other(name string) bool {
	return slices.ContainsFunc(n.Others, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// printable shows octets that are no name in modified UTF-7: what is no UTF-8
// or no character to look at as %XX.
func printable(octets []byte) string {
	var b strings.Builder
	for len(octets) > 0 {
		r, n := utf8.DecodeRune(octets)
		if r == utf8.RuneError && n == 1 || r < 0x20 || r >= 0x7f && r < 0xa0 {
			for _, c := range octets[:n] {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		} else {
			b.Write(octets[:n])
		}
		octets = octets[n:]
	}
	return b.String()
}
