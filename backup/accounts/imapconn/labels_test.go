package imapconn

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"restante/backup/accounts/imapconn/imaptest"
)

func TestLabels(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string][]string{
		`()`: nil,
		`("\\Inbox" "\\Important" foo "a b" [x] foo)`:       {`\Inbox`, `\Important`, "foo", "a b", "[x]"},
		`("\\Starred" \Sent Entw&APw-rfe R&-D)`:             {`\Starred`, `\Sent`, "Entwürfe", "R&D"},
		"(\"say \\\"hi\\\"\" {3}\r\n) ( \"back\\\\slash\")": {`say "hi"`, ") (", `back\slash`},
		`("R&D" caf` + "\xe9)":                              {"R&D", "caf\xe9"},
	} {
		got, err := Labels(raw)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q gives %q, %v; want %q", raw, got, err, want)
		}
	}
	for _, raw := range []string{"", "NIL", "foo", "(foo", `("foo`, "({9}\r\nfoo)"} {
		if got, err := Labels(raw); err == nil {
			t.Errorf("%q gives %q", raw, got)
		}
	}
}

// A server may say that a message has as many labels as an answer has room for.
// To look at each of them for each would take minutes, which this test then does.
func TestManyLabels(t *testing.T) {
	t.Parallel()
	var raw strings.Builder
	const many = 300_000
	for i := range many {
		fmt.Fprintf(&raw, " %d", i)
	}
	if labels, err := Labels("(" + raw.String() + raw.String() + ")"); err != nil || len(labels) != many {
		t.Errorf("%d labels, %v", len(labels), err)
	}
}

func TestGmailID(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"1278455344230334865": "1278455344230334865", "18446744073709551615": "18446744073709551615",
		"": "", "0": "", "18446744073709551616": "", "-1": "", "NIL": "", "12 3": "", "(1)": "",
	} {
		if got := GmailID(raw); got != want {
			t.Errorf("%q gives %q, want %q", raw, got, want)
		}
	}
}

// Only a server that has labels is asked for them, and only with the flags.
func TestLabelsAreAskedForWithFlags(t *testing.T) {
	t.Parallel()
	for caps, want := range map[string]string{"X-GM-EXT-1": " X-GM-LABELS", "UIDPLUS": ""} {
		s := imaptest.Start(t, imaptest.Script{Caps: "IMAP4rev1 " + caps, Handle: map[string]func(*imaptest.Conn, imaptest.Command){
			"UID FETCH": imaptest.Answer("* 1 FETCH (UID 7 X-GM-LABELS (\"\\\\Important\" \"a b\") FLAGS (\\Seen))\r\n%T OK done\r\n"),
			"UID STORE": imaptest.Answer("%T OK done\r\n"),
		}})
		var odd []string
		c := dial(t, s, func(o *Options) { o.Odd = func(x Oddity) { odd = append(odd, fmt.Sprint(x.UID, x.Item, x.Raw)) } })
		if got := c.HasLabels(); got != (want != "") {
			t.Errorf("%s: has labels: %v", caps, got)
		}
		list, err := c.Fetch(imap.UIDSetNum(7), &imap.FetchOptions{UID: true, Flags: true}).Collect()
		if err != nil || len(list) != 1 || len(list[0].Flags) != 1 {
			t.Fatalf("%+v, %v", list, c.Explain(err))
		}
		if got := strings.Join(odd, "|"); got != `7X-GM-LABELS("\\Important" "a b")` {
			t.Errorf("told of %s", got)
		}
		c.Fetch(imap.UIDSetNum(7), &imap.FetchOptions{UID: true}).Collect()
		cmds := s.Commands()
		if got, want := cmds[len(cmds)-2].Args, "7 (UID FLAGS"+want+")"; got != want {
			t.Errorf("asked for %q, want %q", got, want)
		}
		if got := cmds[len(cmds)-1].Args; strings.Contains(got, "LABELS") {
			t.Errorf("asked for %q", got)
		}
		c.Fetch(imap.UIDSetNum(7), &imap.FetchOptions{InternalDate: true}).Collect()
		cmds = s.Commands()
		if got := cmds[len(cmds)-1].Args; strings.Contains(got, "INTERNALDATE X-GM-MSGID") != (want != "") {
			t.Errorf("asked for %q", got)
		}
		if want == "" {
			continue
		}
		found := map[uint32][]string{}
		if err := c.AllLabels(func(uid uint32, labels []string) { found[uid] = labels }); err != nil || len(found) != 1 || !slices.Equal(found[7], []string{`\Important`, "a b"}) {
			t.Errorf("all labels: %v, %v", found, err)
		}
		told := len(odd)
		c.Fetch(imap.UIDSetNum(7), &imap.FetchOptions{UID: true, Flags: true}).Collect()
		if len(odd) != told+1 || len(found) != 1 {
			t.Errorf("afterwards told of %q", odd)
		}
		if err := c.AddLabels(imap.UIDSetNum(7), []string{`\Important`, "a b", "Entwürfe & Co", `say "hi"`}); err != nil {
			t.Fatal(err)
		}
		cmds = s.Commands()
		if got, want := cmds[len(cmds)-1].Args, `7 +X-GM-LABELS.SILENT (\Important "a b" "Entw&APw-rfe &- Co" "say \"hi\"")`; got != want {
			t.Errorf("got  STORE %s\nwant STORE %s", got, want)
		}
	}
}
