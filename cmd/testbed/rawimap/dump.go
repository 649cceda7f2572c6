package rawimap

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Mailbox is all that an account holds.
type Mailbox struct {
	Folders []Folder // by name
}

// A Folder is one folder with its messages.
type Folder struct {
	Name        string   // as the server writes it: modified UTF-7, its own delimiter
	Delimiter   string   // empty if the server has none
	Attributes  []string // sorted, without the subscription, special use and who has children
	SpecialUse  []string // sorted: \Sent …
	Subscribed  bool
	UIDValidity uint32
	UIDNext     uint32
	Messages    []Message // by UID
}

// A Message is one message.
type Message struct {
	UID          uint32
	Flags        []string // sorted, without \Recent
	InternalDate string   // as the server writes it
	Size         int      // RFC822.SIZE
	Octets       []byte   // BODY.PEEK[]
}

// Folder returns the folder of that name, or nil.
func (m Mailbox) Folder(name string) *Folder {
	for i := range m.Folders {
		if m.Folders[i].Name == name {
			return &m.Folders[i]
		}
	}
	return nil
}

// specialUses are those of RFC 6154 section 2 and RFC 8457.
var specialUses = []string{`\All`, `\Archive`, `\Drafts`, `\Flagged`, `\Important`, `\Junk`, `\Sent`, `\Trash`}

// childAttributes tell of other folders and depend on them.
var childAttributes = []string{`\HasChildren`, `\HasNoChildren`, `\Marked`, `\UnMarked`}

// Dump reads all folders and messages, and changes nothing.
func (c *Conn) Dump() (Mailbox, error) {
	folders, err := c.List()
	if err != nil {
		return Mailbox{}, err
	}
	for i := range folders {
		f := &folders[i]
		if !f.Selectable() {
			continue
		}
		if err := c.read(f); err != nil {
			return Mailbox{}, fmt.Errorf("reading folder %q: %w", f.Name, err)
		}
	}
	return Mailbox{folders}, nil
}

// List lists the folders, without what is in them. A server that knows no
// LIST-EXTENDED (RFC 5258) is asked for the subscriptions with LSUB.
func (c *Conn) List() ([]Folder, error) {
	folders, err := c.list(`LIST "" "*" RETURN (SPECIAL-USE SUBSCRIBED)`)
	if _, refused := errors.AsType[*Refused](err); refused {
		if folders, err = c.list(`LIST "" "*"`); err != nil {
			return nil, err
		}
		subscribed, err := c.list(`LSUB "" "*"`)
		if err != nil {
			return nil, err
		}
		for i, f := range folders {
			folders[i].Subscribed = slices.ContainsFunc(subscribed, func(s Folder) bool { return s.Name == f.Name && s.Selectable() })
		}
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(folders, func(a, b Folder) int { return cmp.Compare(a.Name, b.Name) })
	return folders, nil
}

// list runs one LIST or LSUB.
func (c *Conn) list(command string) ([]Folder, error) {
	answer, err := c.Do(command)
	if err != nil {
		return nil, err
	}
	var folders []Folder
	for _, resp := range answer[:len(answer)-1] {
		if !strings.HasPrefix(resp, "* LIST ") && !strings.HasPrefix(resp, "* LSUB ") {
			continue
		}
		f, err := listed(resp)
		if err != nil {
			return nil, err
		}
		folders = append(folders, f)
	}
	return folders, nil
}

// Selectable reports whether the folder can hold messages.
func (f Folder) Selectable() bool {
	return !slices.Contains(f.Attributes, `\Noselect`) && !slices.Contains(f.Attributes, `\NonExistent`)
}

// listed reads a LIST response (RFC 9051 section 7.3.1).
func listed(resp string) (Folder, error) {
	v, err := parse(resp)
	if err != nil {
		return Folder{}, err
	}
	if len(v) < 5 || !v[2].isList {
		return Folder{}, fmt.Errorf("not a LIST response: %q", resp)
	}
	f := Folder{Name: v[4].text}
	if !v[3].isNil {
		f.Delimiter = v[3].text
	}
	for _, a := range v[2].list {
		switch {
		case a.text == `\Subscribed`:
			f.Subscribed = true
		case slices.Contains(specialUses, a.text):
			f.SpecialUse = append(f.SpecialUse, a.text)
		case !slices.ContainsFunc(childAttributes, func(c string) bool { return strings.EqualFold(c, a.text) }):
			f.Attributes = append(f.Attributes, a.text)
		}
	}
	slices.Sort(f.SpecialUse)
	slices.Sort(f.Attributes)
	return f, nil
}

// read fills in what LIST does not tell of a folder.
func (c *Conn) read(f *Folder) error {
	answer, err := c.Do("EXAMINE " + Quote(f.Name))
	if err != nil {
		return err
	}
	for _, resp := range answer {
		for code, n := range map[string]*uint32{"[UIDVALIDITY ": &f.UIDValidity, "[UIDNEXT ": &f.UIDNext} {
			if _, rest, ok := strings.Cut(resp, code); ok {
				digits, _, _ := strings.Cut(rest, "]")
				if *n, err = number(digits); err != nil {
					return err
				}
			}
		}
	}
	answer, err = c.Do("UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])")
	if err != nil {
		return err
	}
	for _, resp := range answer[:len(answer)-1] {
		v, err := parse(resp)
		if err != nil {
			return err
		}
		if len(v) < 4 || v[2].text != "FETCH" || !v[3].isList {
			continue
		}
		m, err := fetched(v[3].list)
		if err != nil {
			return err
		}
		f.Messages = append(f.Messages, m)
	}
	slices.SortFunc(f.Messages, func(a, b Message) int { return cmp.Compare(a.UID, b.UID) })
	return nil
}

// fetched reads the list of a FETCH response (RFC 9051 section 7.5.2).
func fetched(items []value) (Message, error) {
	var m Message
	var body bool
	for i := 0; i+1 < len(items); i += 2 {
		v := items[i+1]
		var err error
		switch items[i].text {
		case "UID":
			m.UID, err = number(v.text)
		case "FLAGS":
			for _, flag := range v.list {
				if flag.text != `\Recent` {
					m.Flags = append(m.Flags, flag.text)
				}
			}
			slices.Sort(m.Flags)
		case "INTERNALDATE":
			m.InternalDate = v.text
		case "RFC822.SIZE":
			m.Size, err = strconv.Atoi(v.text)
		case "BODY[]":
			m.Octets, body = []byte(v.text), !v.isNil
		}
		if err != nil {
			return m, fmt.Errorf("reading %s: %w", items[i].text, err)
		}
	}
	if m.UID == 0 || !body {
		return m, errors.New("a FETCH response without UID or body")
	}
	return m, nil
}

func number(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err
}
