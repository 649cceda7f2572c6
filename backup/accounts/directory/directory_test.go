package directory

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// A fake is a directory that gives entries of uid and mail, page by page, and
// says what a test tells it to say.
type fake struct {
	uids     []string // "a b" has two values, "" none
	paging   bool
	result   int64  // of each search
	referral string // that comes with the first page
	password string // of the bind, if anybody has to log in
	silent   bool
	forever  bool // empty pages with one cookie
}

func start(t *testing.T, f *fake) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go f.serve(conn)
		}
	}()
	return "ldap+insecure://" + listener.Addr().String()
}

func (f *fake) serve(conn net.Conn) {
	defer conn.Close()
	allowed := f.password == ""
	for {
		p, err := ber.ReadPacket(conn)
		if err != nil || len(p.Children) < 2 {
			return
		}
		id, op := p.Children[0].Value.(int64), p.Children[1]
		send := func(op *ber.Packet, controls ...ldap.Control) {
			m := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
			m.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
			m.AppendChild(op)
			if len(controls) > 0 {
				list := ber.Encode(ber.ClassContext, ber.TypeConstructed, 0, nil, "")
				for _, c := range controls {
					list.AppendChild(c.Encode())
				}
				m.AppendChild(list)
			}
			conn.Write(m.Bytes())
		}
		switch op.Tag {
		case ldap.ApplicationBindRequest:
			code := int64(0)
			if op.Children[2].Data.String() != f.password {
				code = ldap.LDAPResultInvalidCredentials
			}
			allowed = code == 0
			send(result(ldap.ApplicationBindResponse, code))
		case ldap.ApplicationSearchRequest:
			if f.silent {
				continue
			}
			if !allowed {
				send(result(ldap.ApplicationSearchResultDone, ldap.LDAPResultInsufficientAccessRights))
				continue
			}
			from, to, cookie := 0, len(f.uids), ""
			if f.paging && len(p.Children) > 2 {
				c, err := ldap.DecodeControl(p.Children[2].Children[0])
				if err != nil {
					return
				}
				paging := c.(*ldap.ControlPaging)
				fmt.Sscan(string(paging.Cookie), &from)
				if to = min(from+int(paging.PagingSize), len(f.uids)); to < len(f.uids) || f.forever {
					cookie = fmt.Sprint(to)
				}
			}
			for i := from; i < to; i++ {
				send(entry(i, f.uids[i]))
			}
			if f.referral != "" && from == 0 {
				r := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultReference, nil, "")
				r.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, f.referral, ""))
				send(r)
			}
			var controls []ldap.Control
			if f.paging {
				controls = append(controls, &ldap.ControlPaging{Cookie: []byte(cookie)})
			}
			send(result(ldap.ApplicationSearchResultDone, f.result), controls...)
		default:
			return
		}
	}
}

func result(tag ber.Tag, code int64) *ber.Packet {
	r := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
	r.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, ""))
	r.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "", ""))
	r.AppendChild(ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, "says the test", ""))
	return r
}

func entry(i int, uids string) *ber.Packet {
	text := func(s string) *ber.Packet {
		return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
	}
	e := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	e.AppendChild(text(fmt.Sprintf("cn=%d,dc=example", i)))
	attributes := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	for name, values := range map[string][]string{"UID": strings.Fields(uids), "mail": {"z@example.org", uids + "@example.org"}} {
		a := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
		a.AppendChild(text(name))
		set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
		for _, v := range values {
			set.AppendChild(text(v))
		}
		a.AppendChild(set)
		attributes.AppendChild(a)
	}
	e.AppendChild(attributes)
	return e
}

func many(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("u%04d", n-i))
	}
	return list
}

func TestUsersComePageByPage(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 10, 11, 95} {
		for _, f := range []*fake{{uids: many(n)}, {uids: many(n), paging: true}, {uids: many(n), paging: true, password: "secret"}} {
			s := Search{URL: start(t, f), Base: "dc=example", Attributes: []string{"Mail", "none"}, page: 10}
			if f.password != "" {
				s.BindDN, s.Password = "cn=backup", f.password
			}
			list, err := s.Users(t.Context())
			if err != nil || len(list) != n {
				t.Fatalf("%d of %d, %v", len(list), n, err)
			}
			if !slices.IsSortedFunc(list, func(a, b Entry) int { return strings.Compare(a.User, b.User) }) {
				t.Error("they are in no order")
			}
			for _, e := range list {
				if e.Values["Mail"] != e.User+"@example.org" || e.Values["none"] != "" || !strings.HasSuffix(e.DN, "dc=example") {
					t.Errorf("%+v", e)
				}
			}
		}
	}
}

func TestAListThatIsNotWholeIsAnError(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what string
		f    fake
		s    Search
		says string // in the error or the hint
	}{
		{"a wrong password", fake{password: "secret"}, Search{BindDN: "cn=b", Password: "guess"}, "refused the login"},
		{"no password", fake{}, Search{BindDN: "cn=b"}, "no password"},
		{"nobody may ask", fake{password: "secret"}, Search{}, "give bind-dn"},
		{"a limit on the server", fake{uids: many(3), result: ldap.LDAPResultSizeLimitExceeded}, Search{}, "not whole"},
		{"no such base", fake{result: ldap.LDAPResultNoSuchObject}, Search{Base: "dc=x"}, `there is no "dc=x"`},
		{"a limit here", fake{uids: many(30), paging: true}, Search{most: 20, page: 10}, "more than 20"},
		{"a referral", fake{uids: many(3), referral: "ldap://elsewhere/"}, Search{}, "ldap://elsewhere/"},
		{"two of one name", fake{uids: []string{"a", "b", "a"}}, Search{}, "cn=0,dc=example and cn=2,dc=example"},
		{"two names", fake{uids: []string{"a b"}}, Search{}, "2 values of uid"},
		{"no name", fake{uids: []string{""}}, Search{}, "0 values of uid"},
		{"a bad filter", fake{}, Search{Filter: "(uid="}, "not well written"},
		{"silence", fake{silent: true}, Search{Timeout: 50 * time.Millisecond}, "no list within 50ms"},
		{"the same page for ever", fake{paging: true, forever: true}, Search{}, "again and again"},
		{"another scheme", fake{}, Search{URL: "https://x"}, "ldaps://HOST"},
		{"a user in the url", fake{}, Search{URL: "ldap://a:secret@x"}, "ldaps://HOST"},
		{"STARTTLS with a server that has none", fake{}, Search{URL: "ldap"}, "encryption"},
		{"TLS with a server that has none", fake{}, Search{URL: "ldaps"}, "encryption"},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			address := start(t, &c.f)
			switch c.s.URL {
			case "":
				c.s.URL = address
			case "ldap", "ldaps":
				c.s.URL += strings.TrimPrefix(address, "ldap+insecure")
			}
			list, err := c.s.Users(t.Context())
			var h interface{ Hint() string }
			said := fmt.Sprint(err)
			if errors.As(err, &h) {
				said += h.Hint()
			}
			if err == nil || !strings.Contains(said, c.says) || strings.Contains(said, "secret") || strings.Contains(said, "guess") {
				t.Errorf("%v, %v", list, said)
			}
		})
	}
	s := Search{URL: start(t, &fake{uids: many(3), referral: "ldap://elsewhere/"}), IgnoreReferrals: true}
	if list, err := s.Users(t.Context()); err != nil || len(list) != 3 {
		t.Errorf("%v, %v", list, err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if _, err := s.Users(ctx); err == nil || !strings.Contains(err.Error(), "enough") {
		t.Error(err)
	}
}
