package servers

import "testing"

// Courier is Courier IMAP, with folder names like "INBOX.a.b". It can do little:
// no CONDSTORE, no ESEARCH, no LIST-EXTENDED, no special uses, no LITERAL+, and
// of an internal date it keeps the instant.
func Courier(t testing.TB) Server {
	t.Helper()
	return Server{
		Address:    lookup(t, "TESTBED_COURIER"),
		TLSAddress: lookup(t, "TESTBED_COURIER_TLS"),
		CA:         lookup(t, "TESTBED_COURIER_CA"),
		Choosy:     true,
		Delimiter:  ".",
		Prefix:     "INBOX.",
		mail:       lookup(t, "TESTBED_COURIER_MAIL"),
	}
}
