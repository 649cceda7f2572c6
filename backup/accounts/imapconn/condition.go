package imapconn

import (
	"bytes"
	"restante/backup/accounts/peer"
	"strings"
)

// parseCondition reads what follows the tag: a status, a response code in
// brackets and a text (RFC 9051 section 7.1). args are the code's arguments.
// It never fails: a code without its closing bracket becomes part of the text.
func parseCondition(line []byte) (c condition, args []byte) {
	status, rest, _ := bytes.Cut(bytes.TrimLeft(line, " "), []byte(" "))
	c.status = strings.ToUpper(string(status))
	rest = bytes.TrimLeft(rest, " ")
	if len(rest) > 0 && rest[0] == '[' {
		if end := codeEnd(rest); end > 0 {
			code, a, _ := bytes.Cut(rest[1:end], []byte(" "))
			if isAtom(code) {
				c.code, args = strings.ToUpper(string(code)), bytes.TrimSpace(a)
				rest = bytes.TrimLeft(rest[end+1:], " ")
			}
		}
	}
	// A bracket at the beginning would make go-imap look for a code.
	c.text = strings.TrimLeft(peer.Text(string(rest)), "[ ")
	return c, args
}

// codeEnd finds the bracket that closes a response code. Flags that are no
// atoms may have one of their own in the list of PERMANENTFLAGS.
func codeEnd(b []byte) int {
	if open := bytes.IndexByte(b, '('); open > 0 && bytes.IndexByte(b[:open], ']') < 0 {
		if i := bytes.Index(b[open:], []byte(")]")); i >= 0 {
			return open + i + 1
		}
	}
	return bytes.IndexByte(b, ']')
}

// appendCondition writes a condition in the form that go-imap takes.
func appendCondition(dst []byte, tag string, c condition, args []byte) []byte {
	dst = append(append(append(dst, tag...), ' '), c.status...)
	if c.code != "" {
		dst = append(append(dst, " ["...), c.code...)
		if len(args) > 0 {
			dst = append(append(dst, ' '), args...)
		}
		dst = append(dst, ']')
	}
	if c.text != "" {
		dst = append(append(dst, ' '), c.text...)
	}
	return append(dst, "\r\n"...)
}

// tagged handles the answer that ends a command.
func (f *filter) tagged(line []byte) error {
	tag, rest, _ := bytes.Cut(line, []byte(" "))
	cmd := f.pend.byTag(tag)
	if cmd == nil {
		return nil // answered twice, or never sent
	}
	c, args := parseCondition(rest)
	if c.status != "OK" { // it is shown to people
		c.text, c.code = short(f.secrets.Hide(c.text), 1000), f.secrets.Hide(c.code)
	}
	switch c.status {
	case "OK", "NO", "BAD":
	default:
		return broken("%q in place of OK, NO or BAD", clip(rest))
	}
	if c.status == "OK" && f.pend.unsent(cmd) {
		// It cannot have done what it has not been told to its end, and nobody knows
		// whether it waits for the rest of it.
		return broken("OK before the whole of the command was sent: %s", c)
	}
	if f.pend.idles(cmd) {
		// Whoever listens would hear nothing more, and not know.
		return broken("IDLE ends before DONE: %s", c)
	}
	switch c.code {
	case "NOTIFICATIONOVERFLOW":
		if c.status == "OK" { // RFC 5465 section 5.8 has it untagged
			f.heard(Overflow)
		}
		c.code, args = "", nil
	case "APPENDUID": // RFC 4315 section 3
		validity, uid, _ := bytes.Cut(args, []byte(" "))
		_, ok := number(validity, 32)
		if _, isUID := number(uid, 32); !ok || !isUID {
			c.code, args = "", nil
		}
	case "COPYUID":
		if args = copyUID(args); args == nil {
			c.code = ""
		}
	case "CAPABILITY":
		c.code, args = "", nil // the ones that go-imap may see stand in its greeting
	default:
		args = nil
	}
	answer := appendCondition(nil, cmd.tag, c, args)
	f.asked()
	if kept, tell := f.pend.refuse(cmd, answer); kept {
		if tell {
			f.buf = append(f.buf, goOn...)
			f.show()
		}
		return nil
	}
	f.answered(cmd, answer)
	return nil
}

// answered shows go-imap the end of a command, after what was gathered for it.
func (f *filter) answered(cmd *command, answer []byte) {
	f.pend.leave(cmd)
	f.fetchLeft(cmd)
	f.ending = answer
	if cmd.verb == "SEARCH" {
		f.found.due = f.found.any
	}
	f.end()
}

// end shows the next part of the end of a command.
func (f *filter) end() {
	if f.found.due {
		f.showFound()
		return
	}
	f.buf = append(f.buf, f.ending...)
	f.ending = nil
	f.show()
}

// copyUID checks the arguments of COPYUID and returns nil if they are wrong.
func copyUID(args []byte) []byte {
	parts := bytes.Fields(args)
	if len(parts) != 3 {
		return nil
	}
	_, ok := number(parts[0], 32)
	from, okFrom := parseNumbers(parts[1], false)
	to, okTo := parseNumbers(parts[2], false)
	if !ok || !okFrom || !okTo || len(from) == 0 || len(to) == 0 {
		return nil
	}
	return bytes.Join(parts, []byte(" "))
}

// onlyRecent stands for a list of PERMANENTFLAGS that is empty: no flag is
// kept. go-imap shows that like a missing one, which means that all are (RFC
// 9051 section 7.1), and \Recent is a flag that no client can set.
const onlyRecent = `(\Recent)`

// untaggedCondition handles "* OK", "* NO", "* BAD", "* BYE" and "* PREAUTH".
func (f *filter) untaggedCondition(line []byte) error {
	c, args := parseCondition(line)
	// RFC 9051 section 7.1 wants alerts shown to the user; not by the million.
	if c.code == "ALERT" && f.alerts < 10 {
		f.alerts++
		f.opts.Log.Warn("the mail server says", "text", short(f.secrets.Hide(c.text), 1000))
	}
	if c.code == "NOTIFICATIONOVERFLOW" {
		f.heard(Overflow)
	}
	if c.status == "BYE" {
		c.text = short(f.secrets.Hide(c.text), 1000)
		f.bye = &c
	}
	known := false
	switch c.code {
	case "PERMANENTFLAGS":
		s := &scan{in: f.in, b: args}
		f.buf = append(append(append(f.buf, "* "...), c.status...), " [PERMANENTFLAGS "...)
		start := len(f.buf)
		if err := f.flags(s, nil); err != nil {
			return nil
		}
		if string(f.buf[start:]) == "()" {
			f.buf = append(f.buf[:start], onlyRecent...)
		}
		f.buf = append(append(append(f.buf, "] "...), c.text...), "\r\n"...)
		f.show()
		return nil
	case "UIDNEXT":
		_, known = number(args, 32)
	case "UIDVALIDITY":
		var validity uint64
		if validity, known = number(args, 32); known {
			if err := f.inEpoch(validity); err != nil {
				return err
			}
		}
	case "HIGHESTMODSEQ":
		_, known = number(args, 64)
	case "NOMODSEQ", "CLOSED":
		args, known = nil, true
	}
	if !known {
		return nil
	}
	f.buf = appendCondition(f.buf, "*", c, args)
	f.show()
	return nil
}

// inEpoch takes note of a UIDVALIDITY. Told of a folder that is open, and
// another than before, it takes from all UIDs what they stood for (RFC 9051
// section 2.3.1.1).
func (f *filter) inEpoch(validity uint64) error {
	if f.pend.one("SELECT", "EXAMINE") == nil && f.epoch != 0 && f.epoch != validity {
		return broken("the UIDVALIDITY of the folder that is open changes from %d to %d", f.epoch, validity)
	}
	f.epoch = validity
	return nil
}
