package imaptest

import (
	"fmt"
	"strconv"
	"strings"
)

// Name takes a folder's name, quoted or a literal or neither, from the front of
// a command's arguments.
func Name(args string) (name, rest string) {
	if strings.HasPrefix(args, "{") {
		header, text, _ := strings.Cut(args, "\r\n")
		size, _ := strconv.Atoi(strings.Trim(header, "{+}"))
		return text[:size], strings.TrimPrefix(text[size:], " ")
	}
	if !strings.HasPrefix(args, `"`) {
		name, rest, _ = strings.Cut(args, " ")
		return name, rest
	}
	var b strings.Builder
	for i := 1; i < len(args); i++ {
		switch args[i] {
		case '"':
			return b.String(), strings.TrimPrefix(args[i+1:], " ")
		case '\\':
			i++
		}
		b.WriteByte(args[i])
	}
	return b.String(), ""
}

func quoted(name string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}

func (a *Account) namespace(c *Conn, cmd Command) {
	c.Say("* NAMESPACE %s\r\n", a.Namespace)
	c.OK(cmd)
}

// list answers LIST "" pattern, where the pattern may end in "*", and with
// RETURN what is asked for.
func (a *Account) list(c *Conn, cmd Command) {
	_, rest := Name(cmd.Args)
	pattern, options := Name(rest)
	for _, f := range a.folders {
		if !matches(pattern, f.Name) {
			continue
		}
		attrs := f.Attrs
		if f.Subscribed && strings.Contains(options, "SUBSCRIBED") {
			attrs = strings.TrimSpace(attrs + ` \Subscribed`)
		}
		c.Say("* LIST (%s) %s %s\r\n", attrs, a.delimiter(), quoted(f.Name))
		if strings.Contains(options, "STATUS") && !noSelect(f) {
			c.Say("%s", a.statusOf(f))
		}
	}
	c.OK(cmd)
}

func matches(pattern, name string) bool {
	if before, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, before)
	}
	return pattern == name
}

func (a *Account) delimiter() string {
	if a.Delimiter == "" {
		return "NIL"
	}
	return quoted(a.Delimiter)
}

func (a *Account) lsub(c *Conn, cmd Command) {
	for _, f := range a.folders {
		if f.Subscribed {
			c.Say("* LSUB () %s %s\r\n", a.delimiter(), quoted(f.Name))
		}
	}
	c.OK(cmd)
}

func (a *Account) statusOf(f *Folder) string {
	modSeq := ""
	if a.has("CONDSTORE") {
		modSeq = fmt.Sprintf(" HIGHESTMODSEQ %d", f.ModSeq)
	}
	return fmt.Sprintf("* STATUS %s (MESSAGES %d UIDNEXT %d UIDVALIDITY %d%s)\r\n", quoted(f.Name), len(f.Messages), f.Next, f.Validity, modSeq)
}

func (a *Account) status(c *Conn, cmd Command) {
	name, _ := Name(cmd.Args)
	f := a.find(name)
	if f == nil || noSelect(f) {
		c.Say("%s NO [NONEXISTENT] there is no %s\r\n", cmd.Tag, name)
		return
	}
	c.Say("%s", a.statusOf(f))
	c.OK(cmd)
}

func (a *Account) createCommand(c *Conn, cmd Command) {
	name, rest := Name(cmd.Args)
	if a.find(name) != nil {
		c.Say("%s NO [ALREADYEXISTS] there is a %s\r\n", cmd.Tag, name)
		return
	}
	f := a.create(name)
	if _, use, ok := strings.Cut(rest, "(USE ("); ok {
		f.Attrs = strings.TrimRight(use, ")")
	}
	c.OK(cmd)
}

func (a *Account) subscribe(c *Conn, cmd Command) {
	name, _ := Name(cmd.Args)
	if f := a.find(name); f != nil {
		f.Subscribed = true
	}
	c.OK(cmd)
}

// append answers APPEND folder (flags) "date" {n}.
func (a *Account) append(c *Conn, cmd Command) {
	name, rest := Name(cmd.Args)
	f := a.find(name)
	if f == nil || noSelect(f) {
		c.Say("%s NO [TRYCREATE] there is no %s\r\n", cmd.Tag, name)
		return
	}
	flags, date := "", ""
	if strings.HasPrefix(rest, "(") {
		flags, rest, _ = strings.Cut(rest[1:], ") ")
	}
	if strings.HasPrefix(rest, `"`) {
		date, rest, _ = strings.Cut(rest[1:], `" `)
		date = `"` + date + `"`
	}
	_, body, _ := strings.Cut(rest, "\r\n")
	m := f.add(body, flags, date)
	code := ""
	if a.has("UIDPLUS") {
		code = fmt.Sprintf("[APPENDUID %d %d] ", f.Validity, m.UID)
	}
	if s := a.sessions[c]; s != nil {
		s.tell(c)
	}
	c.Say("%s OK %sdone\r\n", cmd.Tag, code)
}
