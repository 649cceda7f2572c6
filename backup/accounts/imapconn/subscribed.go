package imapconn

import (
	"bytes"
	"slices"

	"github.com/emersion/go-imap/v2"
)

// Subscriptions. go-imap knows but one way to ask for them, LIST (SUBSCRIBED),
// which is of RFC 5258. A server without that has LSUB (RFC 3501 section
// 6.3.9), and answers "* LSUB" where go-imap wants "* LIST".

// selectSubscribed begins the arguments of a LIST that go as LSUB.
const selectSubscribed = "(SUBSCRIBED) "

// asLSUB makes LSUB of a command that pending has entered as one.
func asLSUB(line []byte) []byte {
	tag, rest, _ := bytes.Cut(line, []byte(" "))
	_, args, _ := bytes.Cut(rest, []byte(selectSubscribed))
	return bytes.Join([][]byte{tag, []byte("LSUB"), args}, []byte(" "))
}

// Subscribed returns the names of the folders that are subscribed to, as LIST
// gives them. There may be some that no longer exist. It must not be called
// while a LIST is under way.
//
// A \Noselect in an LSUB answer says that the folder is not subscribed to and
// one below it is (RFC 3501 section 6.3.9). The RFC has that for patterns with
// a % only; Courier says it with a * too.
func (c *Conn) Subscribed() ([]string, error) {
	list, err := c.List("", "*", &imap.ListOptions{SelectSubscribed: true}).Collect()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, d := range list {
		if !slices.Contains(d.Attrs, imap.MailboxAttrNoSelect) || slices.Contains(d.Attrs, imap.MailboxAttrSubscribed) {
			names = append(names, d.Mailbox)
		}
	}
	return names, nil
}
