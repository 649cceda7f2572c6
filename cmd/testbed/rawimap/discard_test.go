package rawimap

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestDiscardCountsLiterals(t *testing.T) {
	t.Parallel()
	body := "a\r\nt1 OK that is not the end\r\n{3}\r\n"
	fetch := fmt.Sprintf("* 1 FETCH (UID 7 BODY[] {%d}\r\n%s)\r\n", len(body), body)
	odd := "* 2 FETCH (BODY[] {0}\r\n FLAGS ())\r\n* 3 FETCH (X {3}\r\nabc Y {2}\r\nt1)\r\n"
	c := serve(t, fetch+odd+"TAG OK done\r\n", "* 1 FETCH (BODY[] {4}\r\nabcd)\r\nTAG NO some are gone\r\n", "* 1 FETCH (BODY[] {100}\r\nonly this")
	literals, octets, err := c.Discard("FETCH 1:3 (BODY.PEEK[])")
	if err != nil || literals != 4 || octets != int64(len(body)+5) {
		t.Errorf("%d literals, %d octets, %v", literals, octets, err)
	}
	literals, octets, err = c.Discard("FETCH 1:3 (BODY.PEEK[])")
	var refused *Refused
	if !errors.As(err, &refused) || literals != 1 || octets != 4 {
		t.Errorf("after a NO: %d literals, %d octets, %v", literals, octets, err)
	}
	if _, _, err := c.Discard("FETCH 1 (BODY.PEEK[])"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a cut literal gives %v", err)
	}
}
