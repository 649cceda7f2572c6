package pop3source

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"strconv"
	"strings"
)

// A key is what a snapshot keeps of a message beside its octets, as text:
//
//	<SHA-256, base64> <first 9 octets of the header's SHA-256, base64> <octets>[?] u<unique-id>
//
// "?" marks a message that the server sent in a form that leaves something
// uncertain. A message without a unique-id to tell it from all others has "n"
// and its UID in the last place.
type key struct {
	digest [sha256.Size]byte // of the octets that RETR gave
	head   [headDigest]byte  // of the header
	size   int64             // as LIST tells it; -1: it does not
	odd    bool
	uidl   string // empty: none
}

// headDigest is enough to see that one message is not another. It proves
// nothing about who wrote it.
const headDigest = 9

func (k *key) text(uid uint32) string {
	b := base64.RawStdEncoding
	size := strconv.FormatInt(k.size, 10)
	if k.odd {
		size += "?"
	}
	place := "u" + k.uidl
	if k.uidl == "" {
		place = "n" + strconv.FormatUint(uint64(uid), 10)
	}
	return b.EncodeToString(k.digest[:]) + " " + b.EncodeToString(k.head[:]) + " " + size + " " + place
}

func parseKey(text string) (k key, ok bool) {
	words := strings.SplitN(text, " ", 4)
	if len(words) != 4 || words[3] == "" {
		return k, false
	}
	digest, err := base64.RawStdEncoding.DecodeString(words[0])
	head, headErr := base64.RawStdEncoding.DecodeString(words[1])
	if err != nil || headErr != nil || len(digest) != len(k.digest) || len(head) != len(k.head) {
		return k, false
	}
	copy(k.digest[:], digest)
	copy(k.head[:], head)
	words[2], k.odd = strings.CutSuffix(words[2], "?")
	if k.size, err = strconv.ParseInt(words[2], 10, 64); err != nil {
		return k, false
	}
	switch words[3][0] {
	case 'u':
		k.uidl = words[3][1:]
		return k, k.uidl != ""
	case 'n':
		return k, true
	}
	return k, false
}

// mostHead is how much of a message is looked at for the end of its header.
const mostHead = 256 << 10

// digestHead is the digest of the header that octets begin with, the empty line
// behind it included.
func digestHead(octets []byte) (d [headDigest]byte) {
	octets = octets[:min(len(octets), mostHead)]
	if i := bytes.Index(octets, []byte("\r\n\r\n")); i >= 0 {
		octets = octets[:i+4]
	}
	sum := sha256.Sum256(octets)
	copy(d[:], sum[:])
	return d
}

// digestMessage makes the digests of a message.
func digestMessage(r io.ReaderAt, size int64) (digest [sha256.Size]byte, head [headDigest]byte, err error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(r, 0, size)); err != nil {
		return digest, head, err
	}
	begin := make([]byte, min(size, mostHead))
	if _, err := io.ReadFull(io.NewSectionReader(r, 0, size), begin); err != nil {
		return digest, head, err
	}
	return [sha256.Size]byte(h.Sum(nil)), digestHead(begin), nil
}
