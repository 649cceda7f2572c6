package restore

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"

	"restante/storage"
)

// A matcher finds out which of some messages a folder has. It remembers what
// it learned, so that looking again after a lost connection costs little.
type matcher struct {
	repo  *storage.Repository
	vault storage.ID
	// seen is what is known of messages in the folder, by their IDs.
	seen  byID[sight]
	reads int // messages that were read so far
	// archived are digests of messages in the archive that were not found.
	archived map[storage.BlobID]digest
	// lasting is the Box's, if it is a ChangingBox.
	lasting func(io.Writer) io.WriteCloser
	// found is told which message of the archive one in the folder is, octet
	// for octet.
	found func(id string, k Known)
	// key goes into digests in front of the octets. Nobody who sends mail knows
	// it, so half of a SHA-256 cannot be made to collide.
	key [sha256.Size]byte
}

func newMatcher(repo *storage.Repository, vault storage.ID) *matcher {
	m := &matcher{repo: repo, vault: vault, archived: map[storage.BlobID]digest{}}
	rand.Read(m.key[:])
	return m
}

// Known is what a message in the target is known to be without reading it.
type Known struct {
	Recipe storage.BlobID
	// MessageID must be the message's there, too, or it is read after all.
	MessageID [4]byte
}

// A sight is what is known of a message in the folder: if known, its recipe
// and, in the first octets of second, its Message-ID; else the exact and the
// loose digest. There may be a million of them.
type sight struct {
	first, second [sha256.Size / 2]byte
	known         bool
}

func (k Known) sight() (s sight) {
	s.known, s.first = true, k.Recipe
	copy(s.second[:], k.MessageID[:])
	return s
}

// A digest is what a message is recognised by. Loose is that of what any target
// keeps: some turn a bare LF into CRLF, a NUL into something else, 8-bit octets
// of a header into an X, or lose CRs that stand alone, and what they have changed
// must not be added anew each time.
type digest struct{ exact, loose [sha256.Size / 2]byte }

// digestOf reads octets to their end.
func (m *matcher) digestOf(read func(io.Writer) error) (d digest, size int64, err error) {
	exact, loose := sha256.New(), &looseWriter{w: sha256.New()}
	exact.Write(m.key[:])
	loose.w.Write(m.key[:])
	n := &counter{w: io.MultiWriter(exact, loose)}
	var lasting io.WriteCloser
	if m.lasting != nil {
		lasting = m.lasting(loose)
		n.w = io.MultiWriter(exact, lasting)
	}
	err = read(n)
	if err == nil && lasting != nil {
		err = lasting.Close()
	}
	if err != nil {
		return d, n.n, err
	}
	copy(d.exact[:], exact.Sum(nil))
	copy(d.loose[:], loose.w.Sum(nil))
	return d, n.n, nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// A looseWriter hashes octets without CRs, without line ends at the end, with
// 0x80 for NUL, as Dovecot writes it, and with X for each 8-bit octet of the
// header, as Cyrus does ("munge8bit").
type looseWriter struct {
	w     hash.Hash
	ends  int  // line ends that are not hashed yet
	begun bool // something was hashed
	body  bool // the header is over
	buf   []byte
}

func (l *looseWriter) Write(p []byte) (int, error) {
	l.buf = l.buf[:0]
	for _, c := range p {
		switch c {
		case '\r':
			continue
		case '\n':
			l.ends++
			continue
		case 0:
			c = 0x80
		}
		// An empty line ends the header, and may be the first of all.
		l.body = l.body || l.ends > 1 || l.ends > 0 && !l.begun
		l.begun = true
		if !l.body && c >= 0x80 {
			c = 'X'
		}
		for ; l.ends > 0; l.ends-- {
			l.buf = append(l.buf, '\n')
		}
		l.buf = append(l.buf, c)
	}
	l.w.Write(l.buf)
	return len(p), nil
}

// A candidate is a message in the folder that may be one of the selected.
type candidate struct {
	id        shortID
	messageID [4]byte
}

// readAtOnce is how many messages that have numbers are asked for at once. Of
// others, each time may take a walk through the whole folder.
const readAtOnce = 10_000

// missing returns the numbers of the messages that the folder does not have, in
// order, and how many messages are there that could not be compared. Each
// message in the folder stands for one, octet for octet: where the selection
// has two that are equal and the folder one, one is missing.
//
// Only candidates are read: those with the same Message-ID, those with none
// where some of the selection have none, and, since two parsers need not agree
// on what a Message-ID is, those of the same size where one side has none.
// Whether they are the same only their octets decide.
func (m *matcher) missing(ctx context.Context, box Box, selected []item) (missing []uint32, unread int64, err error) {
	if c, ok := box.(ChangingBox); ok {
		m.lasting = c.Lasting
	}
	l := look{matcher: m, there: countRecipes(selected), ids: map[[4]byte]bool{}, sizes: map[int64]bool{}}
	if err := l.present(ctx, box, selected); err != nil {
		return nil, 0, err
	}
	if err := l.read(ctx, box); err != nil {
		return nil, 0, err
	}
	missing, err = l.match(ctx, selected)
	return missing, l.unread, err
}

// A look is one look into the folder.
type look struct {
	*matcher
	there      recipes          // the messages that need not be read
	ids        map[[4]byte]bool // Message-IDs of the others
	sizes      map[int64]bool   // and what the target says of their sizes
	candidates []candidate
	names      shortIDs // of the candidates
	unread     int64
}

// recipes counts messages by the recipes of a selection.
type recipes struct {
	selected []item
	order    []uint32 // numbers of the selected, by recipe
	counts   []int32  // of the first in order with each recipe
}

func countRecipes(selected []item) recipes {
	r := recipes{selected, make([]uint32, len(selected)), make([]int32, len(selected))}
	for i := range r.order {
		r.order[i] = uint32(i)
	}
	slices.SortFunc(r.order, func(a, b uint32) int {
		return cmp.Or(bytes.Compare(selected[a].recipe[:], selected[b].recipe[:]), cmp.Compare(a, b))
	})
	return r
}

// first is where in order those with a recipe begin.
func (r *recipes) first(recipe storage.BlobID) (i int, ok bool) {
	return slices.BinarySearchFunc(r.order, recipe, func(n uint32, recipe storage.BlobID) int {
		return bytes.Compare(r.selected[n].recipe[:], recipe[:])
	})
}

// count is that of a recipe, nil if it is not one of the selection.
func (r *recipes) count(recipe storage.BlobID) *int32 {
	i, ok := r.first(recipe)
	if !ok {
		return nil
	}
	return &r.counts[i]
}

// take counts one up and returns its number: each of those with the recipe
// once, in the order of their numbers.
func (r *recipes) take(recipe storage.BlobID) (number uint32, ok bool) {
	i, ok := r.first(recipe)
	if !ok {
		return 0, false
	}
	at := i + int(r.counts[i])
	if at == len(r.order) || r.selected[r.order[at]].recipe != recipe {
		return 0, false
	}
	r.counts[i]++
	return r.order[at], true
}

// present finds the candidates.
func (l *look) present(ctx context.Context, box Box, selected []item) error {
	byID, bySize := map[[4]byte]bool{}, map[int64]bool{}
	bare := map[int64]bool{} // sizes of those without a Message-ID
	for i := range selected {
		it := &selected[i]
		bySize[it.size] = true
		if it.messageID != ([4]byte{}) {
			byID[it.messageID] = true
		} else {
			bare[it.size] = true
		}
	}
	return box.Present(ctx, func(p Present) error {
		id := storage.HashMessageID(p.MessageID)
		s, ok := l.seen.get(p.ID)
		// A recipe that nobody asks for may still stand for octets that somebody
		// does: those of another vault have others.
		if ok && s.known && (p.Untold || [4]byte(s.second[:4]) == id) {
			if n := l.there.count(s.first); n != nil {
				*n++
				return nil
			}
		}
		if p.Untold {
			l.unread++
			return nil
		}
		l.ids[id], l.sizes[p.Size] = true, true
		if byID[id] || bare[p.Size] || p.MessageID == "" && (len(bare) > 0 || bySize[p.Size]) {
			l.candidates = append(l.candidates, candidate{l.names.short(p.ID), id})
			if ok && s.known {
				l.seen.remove(p.ID) // it is to be read
			}
		}
		return nil
	})
}

// read reads the candidates that were not read before.
func (l *look) read(ctx context.Context, box Box) error {
	var ids []string
	read := func() error {
		err := box.Read(ctx, ids, l.digested)
		ids = ids[:0]
		return err
	}
	for _, c := range l.candidates {
		id := l.names.long(c.id)
		if _, done := l.seen.get(id); done {
			continue
		}
		ids = append(ids, id)
		if _, is := number(id); is && len(ids) == readAtOnce {
			if err := read(); err != nil {
				return err
			}
		}
	}
	return read()
}

// digested takes a message that was read.
func (l *look) digested(id string, size int64, octets io.Reader) error {
	if octets == nil {
		l.unread++
		return nil
	}
	d, n, err := l.digestOf(func(w io.Writer) error { _, err := io.Copy(w, octets); return err })
	if err == nil && n == size {
		l.seen.put(id, sight{first: d.exact, second: d.loose})
		l.reads++
	}
	return err
}

// match finds out what is the same octet for octet, then what the server has
// changed, and returns the rest.
func (l *look) match(ctx context.Context, selected []item) ([]uint32, error) {
	exact := l.pile(func(s sight) [16]byte { return s.first })
	loose := map[uint32][16]byte{} // of those that are not there octet for octet
	var rest []uint32
	for i := range selected {
		it := &selected[i]
		if n := l.there.count(it.recipe); *n > 0 {
			*n--
			continue
		}
		if len(exact.top) > 0 && (it.messageID == ([4]byte{}) || l.ids[it.messageID] || l.sizes[it.size]) {
			d, ok, err := l.digest(ctx, it)
			if err != nil {
				return nil, err
			}
			if c := exact.take(d.exact); ok && c != nil {
				k := Known{it.recipe, c.messageID}
				l.seen.put(l.names.long(c.id), k.sight())
				l.found(l.names.long(c.id), k)
				continue
			}
			if ok {
				l.archived[it.recipe] = d
				loose[uint32(i)] = d.loose
			}
		}
		rest = append(rest, uint32(i))
	}
	if len(loose) == 0 {
		return rest, nil
	}
	changed := l.pile(func(s sight) [16]byte { return s.second })
	missing := rest[:0]
	for _, i := range rest {
		if d, ok := loose[i]; ok {
			if c := changed.take(d); c != nil {
				l.seen.put(l.names.long(c.id), Known{selected[i].recipe, c.messageID}.sight())
				continue
			}
		}
		missing = append(missing, i)
	}
	return missing, nil
}

// A pile has candidates by their digests, the first of equal ones on top.
type pile struct {
	candidates []candidate
	top        map[[16]byte]uint32 // number of a candidate, and 1
	below      []uint32
}

// pile piles up the candidates that were read and are nobody's yet.
func (l *look) pile(digest func(sight) [16]byte) pile {
	p := pile{l.candidates, map[[16]byte]uint32{}, make([]uint32, len(l.candidates))}
	for i := len(l.candidates) - 1; i >= 0; i-- {
		if s, ok := l.seen.get(l.names.long(l.candidates[i].id)); ok && !s.known {
			p.below[i] = p.top[digest(s)]
			p.top[digest(s)] = uint32(i) + 1
		}
	}
	return p
}

// take takes a candidate off the pile.
func (p *pile) take(digest [16]byte) *candidate {
	n := p.top[digest]
	if n == 0 {
		return nil
	}
	p.top[digest] = p.below[n-1]
	return &p.candidates[n-1]
}

// digest reads a message in the archive. ok says whether that is possible; a
// message that cannot be read is named when it cannot be written.
func (m *matcher) digest(ctx context.Context, it *item) (d digest, ok bool, err error) {
	if d, ok := m.archived[it.recipe]; ok {
		return d, true, nil
	}
	d, _, err = m.digestOf(func(w io.Writer) error { return m.repo.WriteMessage(ctx, w, m.vault, it.recipe) })
	if errors.Is(err, storage.ErrMissing) || errors.Is(err, storage.ErrDamaged) {
		return digest{}, false, nil
	}
	if err != nil {
		return digest{}, false, &archiveError{fmt.Errorf("UID %d: %w", it.uid, err)}
	}
	return d, true, nil
}
