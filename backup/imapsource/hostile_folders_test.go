package imapsource

import (
	"fmt"
	"strings"

	"restante/backup/accounts/imapconn"
	"restante/backup/accounts/imapconn/imaptest"
	"restante/backup/accounts/imapconn/imaptest/rogue"
	"restante/storage"
)

// Servers that list folders nobody can have.

// listingAlso puts folders into the list, each given by what follows "* LIST ".
func listingAlso(folders ...string) maker {
	var b strings.Builder
	for _, f := range folders {
		b.WriteString("* LIST " + f + "\r\n")
	}
	return before("LIST", b.String())
}

func hostileFolders() []hostile {
	listed := func(says string) outcome { return refused(imapconn.ErrProtocol, "list folders", says) }
	noSelect := func(name string) string { return `(\Noselect) "/" ` + name }
	attrs := func(name string) func(v view) {
		return func(v view) { v[name] = map[string]string{"": folderLine([]string{`\Noselect`}, nil, false)} }
	}
	gone := func(name string) outcome {
		return complete(fmt.Sprintf("the folder %q is gone, with ", name)).noted().believing(func(v view) { delete(v, name) })
	}
	return []hostile{
		{name: "folders: none", server: says("LIST", "%T OK none\r\n"), want: incomplete("the server lists no folder at all")},
		{name: "folders: NO", server: says("LIST", "%T NO none of your business\r\n"), want: refused(nil, "list folders", "none of your business")},
		{name: "folders: BAD", server: says("LIST", "%T BAD what?\r\n"), want: refused(nil, "list folders", "what?")},
		{name: "folders: NO behind some of them", server: rewriting("LIST", func(cmd imaptest.Command, text string) string {
			return answers(text)[0] + cmd.Tag + " NO and no more\r\n"
		}), want: refused(nil, "list folders", "and no more")},
		{name: "folders: a hundred thousand and one", server: before("LIST", rogue.Many(100_001, `* LIST () "/" f%d`)), want: listed("more than 100000 folders")},
		{name: "folders: the same one a hundred thousand and one times", server: before("LIST", strings.Repeat("* LIST () \"/\" same\r\n", 100_001)), want: listed("more than 100000 folders")},
		{name: "folders: a name of 1 MiB", server: before("LIST", "* LIST () \"/\" {1048576}\r\n"+strings.Repeat("x", 1<<20)+"\r\n"), want: listed("a line of more than")},
		{name: "folders: a name of 1 MiB that is no UTF-7", server: before("LIST", "* LIST () \"/\" {1048576}\r\n"+strings.Repeat("\xff", 1<<20)+"\r\n"), want: listed("a folder name of 1048576 octets")},
		{name: "folders: names of 1 MiB without end", server: pouring("LIST", "", "* LIST () \"/\" {1048576}\r\n"+strings.Repeat("y", 1<<20)+"\r\n", 0), want: listed("a list of folders of more than")},
		{name: "folders: a name of 4 GiB", server: before("LIST", "* LIST () \"/\" {4294967296}\r\n"), want: listed("a literal of 4294967296 octets")},
		{name: "folders: a name that is empty", server: listingAlso(`() "/" ""`), want: incomplete(`folder ""`, "vanished")},
		{name: "folders: no name", server: listingAlso(`() "/"`), want: listed("")},
		{name: "folders: no delimiter and no name", server: listingAlso(`()`), want: listed("")},
		{name: "folders: nothing", server: before("LIST", "* LIST\r\n"), want: listed("")},
		{name: "folders: twenty thousand attributes", server: listingAlso("(" + strings.Repeat(`\X `, 20000) + `) "/" x`), want: listed("more than 4096 flags in one list")},
		{name: "folders: ten thousand levels", server: listingAlso(noSelect(strings.Repeat("a/", 10000) + "a")), want: complete().believing(attrs(storage.FolderName(strings.SplitN(strings.Repeat("a/", 10000)+"a", "/", 100))))},
		{name: "folders: .. and what lies above", server: listingAlso(noSelect(".."), noSelect("../../etc"), noSelect("/etc/passwd"), noSelect(`"C:\\x"`)),
			want: complete().believing(func(v view) {
				for _, n := range []string{"..", "../../etc", "/etc/passwd", `C:\\x`} {
					attrs(n)(v)
				}
			})},
		{name: "folders: NUL in a name", server: before("LIST", "* LIST (\\Noselect) \"/\" {3}\r\na\x00b\r\n"), want: complete().believing(attrs("a%00b"))},
		{name: "folders: a line end in a name", server: before("LIST", "* LIST (\\Noselect) \"/\" {4}\r\na\r\nb\r\n"), want: complete().believing(attrs("a%0D%0Ab"))},
		{name: "folders: a name that turns the direction of writing, and is not there", server: listingAlso(`() "/" "&IC4-cod.exe"`), want: incomplete(`folder "\u202ecod.exe"`)},
		{name: "folders: a name that drives a terminal, and is not there", server: before("LIST", "* LIST () \"/\" {9}\r\n\x1b[2J\x07abc\x9b\r\n"), want: incomplete(`folder "%1B[2J%07abc%9B"`, "vanished")},
		{name: "folders: modified UTF-7 that stands for letters", server: listingAlso(noSelect("&AEEAQg-")), want: complete().believing(attrs("&AEEAQg-"))},
		{name: "folders: modified UTF-7 of half a character", server: listingAlso(noSelect("&2D0-x"), noSelect("&"), noSelect("&!!-")), want: complete().believing(func(v view) {
			attrs("&2D0-x")(v)
			attrs("&")(v)
			attrs("&!!-")(v)
		})},
		{name: "folders: names that look like aliases", server: listingAlso(noSelect("=raw=494e424f58"), noSelect("=raw=zz")), want: complete().believing(func(v view) {
			attrs("=raw=494e424f58")(v)
			attrs("=raw=zz")(v)
		})},
		{name: "folders: INBOX in three spellings", server: listingAlso(`() "/" inbox`, `() "/" "InBoX"`), want: complete()},
		{name: "folders: INBOX in every language but ASCII", server: listingAlso(noSelect("&-INBOX"), noSelect("&ATA-NBOX")), want: complete().believing(func(v view) {
			attrs("&INBOX")(v)
			attrs("\u0130NBOX")(v)
		})},
		{name: "folders: INBOX twice, the first time as a shell", server: listingAlso(`(\Noselect) "/" INBOX`), want: complete()},
		{name: "folders: INBOX twice, the second time as a shell", server: rewriting("LIST", func(cmd imaptest.Command, text string) string {
			return strings.Replace(text, cmd.Tag+" OK", "* LIST (\\Noselect \\NonExistent) \"/\" INBOX\r\n"+cmd.Tag+" OK", 1)
		}), want: complete()},
		{name: "folders: INBOX is a shell now", server: swapping("LIST", `() "/" "INBOX"`, `(\Noselect) "/" "INBOX"`), want: complete(`the folder "INBOX" is gone, with 12 messages`).noted().believing(func(v view) { v["INBOX"] = map[string]string{"": folderLine([]string{`\Noselect`}, nil, false)} })},
		{name: "folders: INBOX is not listed", server: rewriting("LIST", func(_ imaptest.Command, text string) string {
			list := answers(text)
			return strings.Join(append(list[:0], list[2:]...), "")
		}), want: gone("INBOX")},
		{name: "folders: Sent is not listed", server: rewriting("LIST", func(_ imaptest.Command, text string) string {
			var b strings.Builder
			for _, a := range answers(text) {
				if !strings.Contains(a, `"Sent"`) {
					b.WriteString(a)
				}
			}
			return b.String()
		}), want: gone("Sent")},
		{name: "folders: another delimiter in every line", server: rewriting("LIST", func(_ imaptest.Command, text string) string {
			return strings.Replace(strings.Replace(text, `"/" "Sent"`, `"." "Sent"`, 1), `"/" "Lists/Empty"`, `NIL "Lists/Empty"`, 1)
		}), want: complete().believing(func(v view) {
			v[`Lists\/Empty`] = v["Lists/Empty"]
			delete(v, "Lists/Empty")
		})},
		{name: "folders: a delimiter of two characters, of NUL, of a letter of the name", server: together(listingAlso(`(\Noselect) "//" two`), before("LIST", "* LIST (\\Noselect) \"\x00\" three\r\n"), listingAlso(`(\Noselect) "o" wordo`)), want: complete().believing(func(v view) {
			attrs("two")(v)
			attrs("three")(v)
			attrs("w/rd/")(v)
		})},
		{name: "folders: a shell with children", server: listingAlso(noSelect("Shell"), `(\HasChildren \Noselect) "/" Shell`, noSelect("Shell/Child")), want: complete().believing(func(v view) {
			attrs("Shell")(v)
			attrs("Shell/Child")(v)
		})},
		{name: "folders: a ring: each the parent of the next and of itself", server: listingAlso(noSelect("a/b"), noSelect("b/a"), noSelect("a/b/a"), noSelect("b/a/b"), noSelect("a"), noSelect("b")), want: complete().believing(func(v view) {
			for _, n := range []string{"a/b", "b/a", "a/b/a", "b/a/b", "a", "b"} {
				attrs(n)(v)
			}
		})},
		{name: "folders: ones that cannot be opened", server: listingAlso(`() "/" Ghost`), want: incomplete(`folder "Ghost"`, "vanished")},
		{name: "folders: attributes that are rubbish", server: swapping("LIST", `() "/" "INBOX"`, `("" (\X) \* \ {3} 5) "/" "INBOX"`), want: complete().believing(func(v view) { v["INBOX"][""] = folderLine([]string{"5", `\*`}, nil, false) })},
		{name: "folders: XLIST, LSUB and LIST without parentheses", server: before("LIST", "* XLIST () \"/\" Ghost\r\n* LSUB () \"/\" Ghost\r\n* LISTX Ghost\r\n"), want: complete()},
		{name: "folders: subscriptions to a hundred thousand and one", caps: "NAMESPACE CONDSTORE", server: says("LSUB", rogue.Many(100_001, `* LSUB () "/" f%d`)+"%T OK\r\n"), want: listed("more than 100000 folders")},
		{name: "folders: subscriptions refused", caps: "NAMESPACE CONDSTORE", server: says("LSUB", "%T NO \x1b[31mnever\r\n"), want: complete("does not tell which folders are subscribed to").believing(unsubscribed)},
		{name: "namespace: rubbish", server: says("NAMESPACE", "* NAMESPACE what ever this\r\n%T OK\r\n"), want: listed("NAMESPACE")},
		{name: "namespace: NO", server: says("NAMESPACE", "%T NO none\r\n"), want: complete()},
		{name: "namespace: ten thousand of other users", server: says("NAMESPACE", "* NAMESPACE ((\"\" \"/\")) ("+strings.Repeat(`("u/" "/")`, 5000)+") NIL\r\n%T OK\r\n"), want: complete()},
		{name: "namespace: of other users, and it cannot be listed", server: together(says("NAMESPACE", "* NAMESPACE ((\"\" \"/\")) ((\"user/\" \"/\")) NIL\r\n%T OK\r\n"),
			rewriting("LIST", func(cmd imaptest.Command, text string) string {
				if strings.Contains(cmd.Args, "user/") {
					return cmd.Tag + " NO [NOPERM] not theirs\r\n"
				}
				return text
			})), want: incomplete(`the folders below "user/" cannot be listed`)},
		{name: "namespace: prefixes with wildcards and control characters", server: says("NAMESPACE", "* NAMESPACE ((\"\" \"/\")) ((\"*\" \"/\")(\"%\" \"/\")(\"\x1b[2J\" \"/\")) NIL\r\n%T OK\r\n"), want: complete()},
		{name: "namespace: the prefix is the beginning of a folder's name", server: says("NAMESPACE", "* NAMESPACE ((\"Se\" NIL)) NIL NIL\r\n%T OK\r\n"), want: complete(`the folder "Sent" is now called "nt"`).believing(func(v view) {
			v["nt"] = v["Sent"]
			delete(v, "Sent")
		})},
		{name: "namespace: INBOX is everybody's", server: says("NAMESPACE", "* NAMESPACE NIL ((\"INBOX\" \"/\")) ((\"Sent\" \"/\"))\r\n%T OK\r\n"), want: complete()},
	}
}
