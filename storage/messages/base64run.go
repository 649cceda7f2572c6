package messages

import "encoding/base64"

// A run finds, line by line, what of a body is base64 that encoding it again
// gives exactly: lines of one length, the last of which may be shorter.
// Whatever breaks a run, a blank line, a footer that a list put behind it, an
// octet torn, may have another run behind it.
//
// Uuencode is left as it is: of four corpora of 356 MB it is 0.006 %, of the
// odd messages that mail parsers are tested with 1.3 %.
type run struct {
	span        // of the run so far; line is set with the first line
	after int64 // behind everything that became spans before
	open  bool  // the next line may belong to it
	end   int   // octets of its line ends
	long  bool  // it is the line being read, which comes in pieces
}

// begin forgets the run and starts at a body's beginning.
func (r *run) begin(at int64) { *r = run{after: at} }

// add takes the next line or piece of one, which stands at offset at and has
// end octets of line end behind it, or goes on where that is 0. It returns the
// run that ended before it, if any.
func (r *run) add(at int64, text []byte, first bool, end int) span {
	n, whole := quanta(text)
	if !first { // a long line is a run of its own
		if r.long && n > 0 {
			r.to = at + int64(n)
		}
		r.long = r.long && whole
		return span{}
	}
	if r.open && n > 0 && n <= r.line {
		r.to = at + int64(n)
		r.open = whole && n == r.line && end == r.end
		return span{}
	}
	done := r.finish()
	if n > 0 {
		r.span = span{from: at, to: at + int64(n), decode: true, line: n}
		r.end = end
		r.open = whole && end > 0
		r.long = whole && end == 0
	}
	return done
}

// finish ends the run and returns it.
func (r *run) finish() span {
	done := r.span
	if done.to-done.from <= int64(done.line) || r.end == 0 {
		done.line = 0
	}
	done.crlf = done.line > 0 && r.end == 2
	r.span, r.open, r.long = span{}, false, false
	return done
}

// values holds what each character of base64 stands for, and none for others.
const none = 0xff

var values = func() (t [256]byte) {
	for i := range t {
		t[i] = none
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for i := range alphabet {
		t[alphabet[i]] = byte(i)
	}
	return t
}()

// quanta returns how many characters of whole base64 quanta text begins with;
// whole says that it is nothing else, and has no padding that would end it.
// Padding counts only where the bits it cuts off are zero, as encoding makes
// them.
func quanta(text []byte) (n int, whole bool) {
	i := 0
	for ; i+8 <= len(text); i += 8 {
		t := text[i : i+8 : i+8]
		if values[t[0]]|values[t[1]]|values[t[2]]|values[t[3]]|
			values[t[4]]|values[t[5]]|values[t[6]]|values[t[7]] == none {
			break
		}
	}
	for i < len(text) && values[text[i]] != none {
		i++
	}
	n = i &^ 3
	if i == len(text) {
		return n, n == i
	}
	switch pad := text[i:]; {
	case i-n == 2 && len(pad) >= 2 && pad[0] == '=' && pad[1] == '=' && values[text[i-1]]&0x0f == 0,
		i-n == 3 && pad[0] == '=' && values[text[i-1]]&0x03 == 0:
		return n + 4, false
	}
	return n, false
}

// decodeBase64 appends what the characters in text stand for to out. It skips
// line ends.
func decodeBase64(out, text []byte) ([]byte, error) {
	return base64.StdEncoding.Strict().AppendDecode(out, text)
}
