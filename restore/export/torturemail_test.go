package export

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// A torture is a message that is made to break what reads it.
type torture struct{ name, octets string }

// repeat makes n pieces.
func repeat(n int, piece func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(piece(i))
	}
	return b.String()
}

// tortures makes them, all of other octets.
func tortures() (list []torture) {
	const mime = "MIME-Version: 1.0\r\n"
	add := func(name, octets string) { list = append(list, torture{name, octets}) }
	head := func(name, fields, body string) {
		add(name, "From: ann@example.org\r\n"+fields+"\r\n"+body)
	}
	multi := func(name, boundary, body string) {
		head(name, mime+"Content-Type: multipart/mixed; boundary=\""+boundary+"\"\r\n", body)
	}
	lines := func(s string) string {
		var b strings.Builder
		for ; len(s) > 76; s = s[76:] {
			b.WriteString(s[:76] + "\r\n")
		}
		return b.String() + s + "\r\n"
	}
	data := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("The quick brown fox. ", 3000)))
	b64 := func(name, body string) {
		head(name, mime+"Content-Type: application/octet-stream; name=x\r\nContent-Transfer-Encoding: base64\r\n", body)
	}

	multi("10,000 parts", "b", repeat(10000, func(i int) string { return fmt.Sprintf("--b\r\n\r\n%d\r\n", i) })+"--b--\r\n")
	multi("10,000 empty parts", "b", strings.Repeat("--b\r\n", 10000)+"--b--\r\n")
	head("multiparts 1,000 deep", mime+"Content-Type: multipart/mixed; boundary=b0\r\n", repeat(1000, func(i int) string {
		return fmt.Sprintf("--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n", i, i+1)
	})+"the end\r\n")
	head("multiparts 1,000 deep, of one boundary", mime+"Content-Type: multipart/mixed; boundary=b\r\n", strings.Repeat("--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n", 1000))
	head("messages 1,000 deep", mime+"Content-Type: message/rfc822\r\n", strings.Repeat("Content-Type: message/rfc822\r\n\r\n", 1000)+"Subject: in\r\n\r\nthe end\r\n")
	multi("boundaries that begin with others", "b", "--b\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n\r\none\r\n--bb-\r\n\r\ntwo\r\n--b-\r\n--bb--\r\n--b--\r\n--b\r\n")
	multi("a boundary of nothing", "", "--\r\n\r\nx\r\n----\r\n")
	multi("a boundary of 100,000 octets", strings.Repeat("b", 100_000), "--"+strings.Repeat("b", 100_000)+"\r\n\r\nx\r\n")
	multi("a boundary that never comes", "never", strings.Repeat("--neve\r\n", 1000))
	multi("a boundary with a space at its end", "b ", "--b \r\n\r\nx\r\n--b --\r\n--b\r\n--b--\r\n")
	multi("a boundary with regular expressions", "(a+)+$.*[", "--(a+)+$.*[\r\n\r\nx\r\n--(a+)+$.*[--\r\n")
	multi("the end comes twice", "b", "--b\r\n\r\nx\r\n--b--\r\n--b--\r\n--b\r\n\r\ny\r\n")
	multi("a boundary within a part's header", "b", "--b\r\nX: y\r\n--b\r\n: z\r\n--b--\r\n")
	multi("a boundary behind a bare LF and a bare CR", "b", "--b\n\nx\n--b\r\r--b--\n")
	head("no boundary is told", mime+"Content-Type: multipart/mixed\r\n", "--b\r\n\r\nx\r\n--b--\r\n")
	multi("1 MiB before and behind the parts", "b", strings.Repeat("preamble\r\n", 100_000)+"--b\r\n\r\nx\r\n--b--\r\n"+strings.Repeat("epilogue\r\n", 100_000))
	multi("a signed part with spaces at line ends", "b", "--b\r\n\r\nsigned  \t\r\n \r\n--b\r\nContent-Type: application/pgp-signature\r\n\r\n- -----BEGIN\r\n\r\n--b--")
	multi("a part of base64 that ends in the boundary's line", "b", "--b\r\nContent-Transfer-Encoding: base64\r\n\r\n"+lines(data)+"QUJD--b--\r\n--b--\r\n")

	b64("base64 with rubbish between", strings.ReplaceAll(lines(data), "VG", "V!\x00\xffG"))
	b64("base64 with lines of all lengths", repeat(300, func(i int) string { return data[i*100:i*100+i] + "\r\n" }))
	b64("base64 with padding in the middle", strings.Repeat("QQ==QUI=", 5000)+"\r\n")
	b64("base64 that lacks its padding", lines(data)+"QQ")
	b64("base64 with bits that say nothing", strings.Repeat("QR==\r\n", 5000))
	b64("base64 on one line of 1 MiB", strings.Repeat(data, 13)+"\r\n")
	b64("base64 with bare LF, bare CR and spaces", strings.ReplaceAll(lines(data), "\r\n", "\n")+"\r"+strings.ReplaceAll(lines(data), "\r\n", " \r\n"))
	b64("base64 of nothing", "\r\n\r\n\r\n")
	head("two encodings", mime+"Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 8bit\r\nContent-Transfer-Encoding: x-uuencode\r\n", lines(data))
	head("quoted-printable that is none", mime+"Content-Transfer-Encoding: quoted-printable\r\n", "=\r\n==\r\n=ZZ=0=\r\n=3D=\n"+strings.Repeat("=", 10000))
	head("uuencode and yEnc", "", "begin 644 x\r\n#0V%T\r\n`\r\nend\r\n=ybegin line=128 size=3 name=x\r\n\x00\xff\r\n=yend\r\n")

	add("a header line of 1 MiB", "Subject: "+strings.Repeat("long ", 200_000)+"\r\n\r\nx\r\n")
	add("a header line of 1 MiB with no colon", strings.Repeat("long", 250_000)+"\r\nSubject: x\r\n\r\nx\r\n")
	add("a field name of 1 MiB", strings.Repeat("long", 250_000)+": y\r\n\r\nx\r\n")
	add("a subject folded 100,000 times", "Subject: a"+strings.Repeat("\r\n b", 100_000)+"\r\n\r\nx\r\n")
	add("folded lines of spaces only", "Subject: a"+strings.Repeat("\r\n \t", 10_000)+"\r\n\r\nx\r\n")
	add("folds with no field before", " \r\n\tfolded\r\nSubject: x\r\n\r\nx\r\n")
	add("100,000 fields", repeat(100_000, func(i int) string { return fmt.Sprintf("X-%d: y\r\n", i) })+"Subject: the last\r\n\r\nx\r\n")
	add("10,000 subjects", repeat(10_000, func(i int) string { return fmt.Sprintf("Subject: %d\r\n", i) })+"\r\nx\r\n")
	add("only a header", "Subject: only a header\r\nTo: ben@example.org\r\n")
	add("only a header, cut in a line", "Subject: only a head")
	add("only a body", "\r\nonly a body\r\n")
	add("nothing", "")
	add("a line end", "\r\n")
	add("a CR", "\r")
	add("NULs", strings.Repeat("\x00", 70_000))
	add("NULs in the header", "Sub\x00ject: a\x00b\r\nFrom: \x00\r\n\x00\r\n\r\nx\r\n")
	add("bare CRs only", "Subject: bare CR\rFrom: x\r\rbody\r")
	add("bare LFs only", "Subject: bare LF\nFrom: x\n\nbody\n.\n")
	add("line ends of all kinds", "Subject: all\nFrom: x\r\r\nTo: y\r\n\r\r\n\n\nbody\r\n.\r\n\r\n.\n\r.\r\n")
	add("dots", "Subject: dots\r\n\r\n"+strings.Repeat(".\r\n..\r\n", 1000))
	add("what a server says", "+OK\r\n.\r\n* 1 FETCH (BODY[] {5}\r\nA001 OK done\r\n)\r\n")
	add("From lines", "Subject: mbox\r\n\r\nFrom ann Thu Jan  1 00:00:00 1970\r\n>From ann\r\n\r\nFrom x\r\n")
	add("no line end at the end", "Subject: x\r\n\r\nno end")
	add("a byte order mark", "\xef\xbb\xbfSubject: BOM\r\n\r\nx\r\n")

	add("octets that are no UTF-8 in the header", "Subject: \xff\xfe\x80\xc3(\xed\xa0\x80\r\nFrom: \xa0\xa1 <\xe4@\xf6>\r\n\r\n\xff\r\n")
	add("escape sequences in the header", "Subject: \x1b]0;owned\x07\x1b[2J\x9b31m\r\nFrom: \x1b[1A <a@b>\r\n\r\nx\r\n")
	add("directions and invisible characters in the header", "Subject: \u202egnp.exe\u2066\u200b\u2028\u2029\ufeff\u00ad/../../etc\r\nFrom: \u202e<a@b>\r\n\r\nx\r\n")
	add("encoded words with control characters", "Subject: =?utf-8?Q?=1B[31m=00=0D=0ABcc:_x=E2=80=AE?= =?utf-8?B?G1sySgA=?=\r\nFrom: =?utf-8?Q?=07?= <a@b>\r\n\r\nx\r\n")
	add("20,000 encoded words", "Subject:"+strings.Repeat(" =?utf-8?Q?a?=", 20_000)+"\r\n\r\nx\r\n")
	add("encoded words in encoded words", "Subject: "+strings.Repeat("=?utf-8?Q?", 5000)+"a"+strings.Repeat("?=", 5000)+"\r\n\r\nx\r\n")
	add("encoded words of character sets that are none", "Subject: =?x-none?Q?=FF?= =?utf-7?Q?+AAo-?= =?utf-16?B?AAoA?= =?utf-32?B?AAAA?= =?iso-2022-jp?B?GyRC?= =?"+strings.Repeat("x", 10_000)+"?B?QQ==?=\r\n\r\nx\r\n")
	add("an encoded word without end", "Subject: =?utf-8?B?"+strings.Repeat("QUJD", 50_000)+"\r\n\r\nx\r\n")
	head("a file name in 10,000 pieces (RFC 2231)", mime+"Content-Disposition: attachment"+repeat(10_000, func(i int) string { return fmt.Sprintf(";\r\n filename*%d*=%%41", i) })+"\r\n", "x\r\n")
	head("a file name that leads elsewhere", mime+"Content-Disposition: attachment; filename*=utf-8''%00%2F..%2F..%2Fetc%2Fpasswd%0A; filename*999999999999=x; filename*-1*=y\r\n", "x\r\n")
	head("10,000 parameters", mime+"Content-Type: text/plain"+repeat(10_000, func(i int) string { return fmt.Sprintf("; p%d=\"\\\"\"", i) })+"\r\n", "x\r\n")
	head("a parameter without end", mime+"Content-Type: multipart/mixed; boundary=\"b"+strings.Repeat("\\", 50_000)+"\r\n", "--b\r\n\r\nx\r\n")
	add("comments 10,000 deep", "From: "+strings.Repeat("(", 10_000)+"x"+strings.Repeat(")", 10_000)+" a@b\r\nDate: "+strings.Repeat("(", 10_000)+"\r\n\r\nx\r\n")
	add("20,000 addresses", "From: "+repeat(20_000, func(i int) string { return fmt.Sprintf("\"%d\" <a%d@b>,\r\n ", i, i) })+"c@d\r\n\r\nx\r\n")
	add("groups in groups", "To: "+strings.Repeat("g:", 5000)+"a@b"+strings.Repeat(";", 5000)+"\r\n\r\nx\r\n")
	add("dates that are none", "Date: Fri, 99 Foo 999999999 99:99:99 +9999\r\nDate: "+strings.Repeat("9", 10_000)+"\r\n\r\nx\r\n")
	head("partial, external and other bodies", mime+"Content-Type: message/partial; number=0; total=-1; id=\"\"\r\n", "Content-Type: message/external-body; access-type=local-file; name=\"/etc/passwd\"\r\n\r\n")
	head("lengths that lie", mime+"Content-Length: -1\r\nContent-Length: 99999999999999999999\r\nLines: 0\r\n", "x\r\n")
	return list
}
