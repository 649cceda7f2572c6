package directory

import (
	"net"
	"strings"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// entryPacket and donePacket are what a directory sends for a search (RFC 4511
// section 4.5.2); number is the request's.
func entryPacket(number int64, dn string, attributes ...[]string) *ber.Packet {
	p := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, number, ""))
	e := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	e.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, dn, ""))
	list := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	for _, a := range attributes {
		one := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
		one.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, a[0], ""))
		values := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
		for _, v := range a[1:] {
			values.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, v, ""))
		}
		one.AppendChild(values)
		list.AppendChild(one)
	}
	e.AppendChild(list)
	p.AppendChild(e)
	return p
}

func donePacket(number, code int64, text string, controls ...ldap.Control) *ber.Packet {
	p := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, number, ""))
	d := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultDone, nil, "")
	d.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, ""))
	d.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
	d.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, text, ""))
	p.AppendChild(d)
	if len(controls) > 0 {
		list := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "")
		for _, c := range controls {
			list.AppendChild(c.Encode())
		}
		p.AppendChild(list)
	}
	return p
}

// Whatever a directory answers to a search, it ends, nothing panics, and every
// user that comes of it has a name.
func FuzzAnswers(f *testing.F) {
	alice := entryPacket(1, "uid=alice,dc=example", []string{"uid", "alice"}, []string{"mail", "b@example.org", "a@example.org"}).Bytes()
	last := donePacket(1, 0, "").Bytes()
	f.Add(append(alice, last...))
	f.Add(append(alice, donePacket(1, 0, "", &ldap.ControlPaging{PagingSize: 1, Cookie: []byte("more")}).Bytes()...))
	f.Add(donePacket(1, 4, "size\x1blimit").Bytes())
	f.Add(donePacket(1, 32, "").Bytes())
	f.Add(append(entryPacket(1, "cn=x").Bytes(), last...))
	f.Add([]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff})
	f.Add([]byte{0x30, 0x80, 0, 0})
	f.Add([]byte(strings.Repeat("\x30\x80", 1000)))
	f.Fuzz(func(t *testing.T, said []byte) {
		client, server := net.Pipe()
		go func() {
			b := make([]byte, 4096)
			if _, err := server.Read(b); err == nil { // the request
				server.Write(said)
			}
			server.Close()
		}()
		conn := ldap.NewConn(client, false)
		conn.Start()
		conn.SetTimeout(time.Minute)
		defer conn.Close()
		s := Search{User: "uid", Filter: "(uid=*)", Base: "dc=example", Attributes: []string{"mail"}, page: 2, most: 100}
		list, err := s.pages(conn)
		if err != nil && list != nil {
			t.Errorf("an error, and %v", list)
		}
		for _, e := range list {
			if e.User == "" || len(e.Values) != 1 || len(e.User)+len(e.DN)+len(e.Values["mail"]) > len(said) {
				t.Errorf("%+v", e)
			}
		}
	})
}

// Whatever a filter is, it is refused, or it can be sent.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{"(uid=*)", "(&(objectClass=person)(mail=*))", "(cn:dn:2.4.6.8.10:=Dino)", "(cn=a\\2ab)", "(|(a=b)(!(c>=d)))", "(((", "(a=\xff)", strings.Repeat("(!", 1000)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, filter string) {
		p, err := ldap.CompileFilter(filter)
		if err != nil {
			return
		}
		if again := ber.DecodePacket(p.Bytes()); again == nil {
			t.Errorf("%q cannot be sent", filter)
		}
		if len(p.Bytes()) > 20*len(filter)+100 {
			t.Errorf("%d octets make %d", len(filter), len(p.Bytes()))
		}
	})
}
