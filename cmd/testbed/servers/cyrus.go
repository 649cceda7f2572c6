package servers

import "testing"

// CyrusAdmin is the user of [Cyrus] and [CyrusDot] who may act as anybody, by
// SASL's authorization identity, with MasterPassword.
const CyrusAdmin = "cyrus"

// Cyrus is Cyrus IMAP with folder names like "a/b", and namespaces for other
// users' folders and shared ones. Clients may set special uses.
//
// Cyrus refuses to APPEND what has a NUL, a bare LF, or a header that is none,
// and folder names with some of ASCII's punctuation. It can do much: CONDSTORE,
// QRESYNC, ESEARCH, LIST-EXTENDED, LIST-STATUS, LITERAL+.
func Cyrus(t testing.TB) Server {
	t.Helper()
	return Server{
		Address:    lookup(t, "TESTBED_CYRUS"),
		TLSAddress: lookup(t, "TESTBED_CYRUS_TLS"),
		CA:         lookup(t, "TESTBED_CYRUS_CA"),
		Choosy:     true,
		Delimiter:  "/",
	}
}

// CyrusDot is another Cyrus, with users and mail of its own and folder names
// like "INBOX.a.b".
func CyrusDot(t testing.TB) Server {
	t.Helper()
	return Server{
		Address:    lookup(t, "TESTBED_CYRUS_DOT"),
		TLSAddress: lookup(t, "TESTBED_CYRUS_TLS_DOT"),
		CA:         lookup(t, "TESTBED_CYRUS_CA"),
		Choosy:     true,
		Delimiter:  ".",
		Prefix:     "INBOX.",
	}
}
