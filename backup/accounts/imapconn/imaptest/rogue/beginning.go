package rogue

import (
	"net"
	"slices"

	"restante/backup/accounts/imapconn"
)

// A Beginning is a server that is hostile before anybody asks for mail, and what
// must come of it.
type Beginning struct {
	Name   string // what the server does
	Conn   func(*imapconn.Options)
	Server Change
	Raw    func(net.Conn) // speaks in its place, from the first octet on
	Want   Outcome
}

// An Outcome is what must come of a Beginning.
type Outcome struct {
	Works bool // the client logs in all the same
	Is    error
	Says  []string // in the error
	Hint  string
}

// Works says that the client logs in all the same.
func Works() Outcome { return Outcome{Works: true} }

// Refused says that the client does not, and how.
func Refused(is error, says ...string) Outcome { return Outcome{Is: is, Says: says} }

// Hinting is what a person can do about it.
func (o Outcome) Hinting(hint string) Outcome { o.Hint = hint; return o }

// Beginnings are all of them. The client connects with STARTTLS, but for what
// Conn changes.
func Beginnings() []Beginning { return slices.Concat(logins(), encryptions()) }
