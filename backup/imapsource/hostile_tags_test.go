package imapsource

import (
	"fmt"
	"strings"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
)

// Servers that answer what was not asked, or not as it was asked.

// steps are the commands of a run, in order.
var steps = []string{"STARTTLS", "CAPABILITY", "LOGIN", "NAMESPACE", "LIST", "EXAMINE", "UID SEARCH", "UID FETCH"}

// everywhere does something at each command that an account answers.
func everywhere(do func(command string) maker) maker {
	return func(c *chain, s *imaptest.Script) {
		for _, command := range steps[3:] {
			do(command)(c, s)
		}
	}
}

// nextTag is the tag behind one.
func nextTag(tag string, by int) string {
	var n int
	fmt.Sscanf(tag, "T%d", &n)
	return fmt.Sprintf("T%d", n+by)
}

func hostileTags() []hostile {
	return []hostile{
		{name: "tags: every command answered twice", server: everywhere(func(command string) maker { return behind(command, "%T OK again\r\n") }), want: complete()},
		{name: "tags: every command answered OK and then NO", server: everywhere(func(command string) maker { return behind(command, "%T NO after all\r\n") }), want: complete()},
		{name: "tags: every command answered with the next tag, too", server: everywhere(func(command string) maker {
			return rewriting(command, func(cmd imaptest.Command, text string) string { return text + nextTag(cmd.Tag, 1) + " OK early\r\n" })
		}), want: outcome{how: "incomplete", either: true}},
		{name: "tags: every command answered with the last tag first", server: everywhere(func(command string) maker {
			return rewriting(command, func(cmd imaptest.Command, text string) string { return nextTag(cmd.Tag, -1) + " NO late\r\n" + text })
		}), want: complete()},
		{name: "tags: tags that nobody sent", server: everywhere(func(command string) maker {
			return between(command, "X1 OK\r\nT999 NO\r\nT0 BAD\r\nT4294967296 OK\r\nT-1 OK\r\n OK\r\n\x00 OK\r\n")
		}), want: complete()},
		{name: "tags: a + between all answers", server: everywhere(func(command string) maker { return between(command, "+ go on\r\n+\r\n+OK\r\n") }), want: complete()},
		{name: "tags: in small letters", server: everywhere(func(command string) maker {
			return rewriting(command, func(cmd imaptest.Command, text string) string {
				return strings.ReplaceAll(text, cmd.Tag+" OK", strings.ToLower(cmd.Tag)+" OK")
			})
		}), want: refused(imapconn.ErrTimeout, "list folders")},
		{name: "tags: * OK in place of the tagged one", server: rewriting("LIST", func(cmd imaptest.Command, text string) string {
			return strings.Replace(text, cmd.Tag+" OK", "* OK", 1)
		}), want: refused(imapconn.ErrTimeout, "list folders")},
		{name: "tags: LIST answered before it tells of folders", server: rewriting("LIST", func(cmd imaptest.Command, text string) string {
			return cmd.Tag + " OK early\r\n" + strings.ReplaceAll(text, cmd.Tag, "X")
		}), want: incomplete("the server lists no folder at all")},
		{name: "tags: SEARCH answered before it tells of messages", server: rewriting("UID SEARCH", func(cmd imaptest.Command, text string) string {
			return cmd.Tag + " OK early\r\n" + strings.ReplaceAll(text, cmd.Tag+" OK", "X OK")
		}), want: complete()},
		{name: "tags: EXAMINE answered before it tells of the folder", server: rewriting("EXAMINE", func(cmd imaptest.Command, text string) string {
			return cmd.Tag + " OK early\r\n" + strings.ReplaceAll(text, cmd.Tag+" OK", "X OK")
		}), want: incomplete(`folder "INBOX"`, `folder "Sent"`, "it names no UIDVALIDITY")},
		{name: "tags: neither OK nor NO nor BAD", server: rewriting("LIST", func(cmd imaptest.Command, text string) string {
			return strings.Replace(text, cmd.Tag+" OK", cmd.Tag+" PERHAPS", 1)
		}), want: refused(imapconn.ErrProtocol, "list folders", "PERHAPS")},
		{name: "tags: BYE with a tag", server: rewriting("LIST", func(cmd imaptest.Command, text string) string { return cmd.Tag + " BYE\r\n" }), want: refused(imapconn.ErrProtocol, "list folders", "BYE")},
		{name: "tags: nothing behind the tag", server: rewriting("LIST", func(cmd imaptest.Command, text string) string { return cmd.Tag + "\r\n" }), want: refused(imapconn.ErrProtocol, "list folders")},
		{name: "tags: a response code without end", server: everywhere(func(command string) maker {
			return rewriting(command, func(cmd imaptest.Command, text string) string {
				return strings.Replace(text, cmd.Tag+" OK", cmd.Tag+" OK [[[(((", 1)
			})
		}), want: complete()},
		{name: "tags: codes of other commands", server: everywhere(func(command string) maker {
			return rewriting(command, func(cmd imaptest.Command, text string) string {
				return strings.Replace(text, cmd.Tag+" OK ", cmd.Tag+" OK [COPYUID 1 1:4294967295 1:4294967295] ", 1)
			})
		}), want: complete()},
		{name: "tags: APPENDUID and MODIFIED of rubbish", server: everywhere(func(command string) maker {
			return rewriting(command, func(cmd imaptest.Command, text string) string {
				return strings.Replace(text, cmd.Tag+" OK ", cmd.Tag+" OK [APPENDUID x y] [MODIFIED 1:*] ", 1)
			})
		}), want: complete()},
		{name: "tags: NO with the code of a folder that is gone, to a SEARCH", server: inFolder(1000, "UID SEARCH", func(cmd imaptest.Command, _ string) string {
			return cmd.Tag + " NO [NONEXISTENT] gone\r\n"
		}), want: complete()},
		{name: "EXAMINE: NO, the folder is not there", server: says("EXAMINE", "%T NO [NONEXISTENT] gone\r\n"), want: incomplete(`folder "INBOX"`, `folder "Sent"`, "vanished")},
		{name: "EXAMINE: NO, not for you", server: says("EXAMINE", "%T NO [NOPERM] no\r\n"), want: incomplete(`folder "INBOX"`, `folder "Sent"`, "NOPERM")},
		{name: "EXAMINE: NO, only of INBOX", server: inFolder(1000, "EXAMINE", func(cmd imaptest.Command, _ string) string { return cmd.Tag + " NO [SERVERBUG] sorry\r\n" }), want: incomplete(`folder "INBOX"`, "SERVERBUG")},
	}
}
