package bench

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"restante/cmd/testbed/site"
)

// fetched is what a bare fetch came by.
type fetched struct {
	Folders, Messages, Octets int64
}

// pieceSize is how many messages one FETCH asks for where a folder is shared
// by several connections.
const pieceSize = 1000

// A piece is some messages of a folder; all of them if to is 0.
type piece struct {
	folder   string // as the server wrote it
	from, to int    // sequence numbers
}

// bareFetch reads every message of an account with flags and internal date,
// and throws it away: what nobody who reads mail by IMAP can be faster than.
func bareFetch(ctx context.Context, address, ca, user string, connections int) (fetched, error) {
	c, err := site.Login(ctx, address, ca, user)
	if err != nil {
		return fetched{}, err
	}
	defer c.Close()
	answer, err := c.Do(`LIST "" "*" RETURN (STATUS (MESSAGES))`)
	if err != nil {
		return fetched{}, err
	}
	sum, pieces, err := divide(answer, connections > 1)
	if err != nil {
		return fetched{}, err
	}
	todo := make(chan piece, len(pieces))
	for _, p := range pieces {
		todo <- p
	}
	close(todo)

	var mu sync.Mutex // guards sum and err
	var wg sync.WaitGroup
	for i := range connections {
		wg.Go(func() {
			conn, workErr := c, error(nil)
			if i > 0 {
				if conn, workErr = site.Login(ctx, address, ca, user); workErr == nil {
					defer conn.Close()
				}
			}
			var messages, octets int64
			at := ""
			for p := range todo {
				if workErr != nil {
					break
				}
				if p.folder != at {
					if _, workErr = conn.Do("EXAMINE " + p.folder); workErr != nil {
						break
					}
					at = p.folder
				}
				which := "UID FETCH 1:*"
				if p.to > 0 {
					which = fmt.Sprintf("FETCH %d:%d", p.from, p.to)
				}
				var m, o int64
				m, o, workErr = conn.Discard(which + " (UID FLAGS INTERNALDATE BODY.PEEK[])")
				messages, octets = messages+m, octets+o
			}
			mu.Lock()
			defer mu.Unlock()
			sum.Messages += messages
			sum.Octets += octets
			if err == nil {
				err = workErr
			}
		})
	}
	wg.Wait()
	if err == nil {
		c.Do("LOGOUT")
	}
	return sum, err
}

// divide makes the work of a LIST-STATUS answer (RFC 5819).
func divide(answer []string, shared bool) (sum fetched, pieces []piece, err error) {
	for _, resp := range answer {
		rest, ok := strings.CutPrefix(resp, "* STATUS ")
		if !ok {
			continue
		}
		i := strings.LastIndex(rest, " (MESSAGES ")
		if i < 0 {
			return sum, nil, fmt.Errorf("an odd STATUS: %q", resp)
		}
		n, err := strconv.Atoi(strings.TrimSuffix(rest[i+len(" (MESSAGES "):], ")"))
		if err != nil {
			return sum, nil, fmt.Errorf("an odd STATUS: %q", resp)
		}
		folder := rest[:i]
		sum.Folders++
		switch {
		case n == 0:
		case !shared || n <= pieceSize:
			pieces = append(pieces, piece{folder: folder})
		default:
			for from := 1; from <= n; from += pieceSize {
				pieces = append(pieces, piece{folder, from, min(from+pieceSize-1, n)})
			}
		}
	}
	return sum, pieces, nil
}
