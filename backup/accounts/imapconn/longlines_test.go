package imapconn

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"restante/backup/accounts/imapconn/imaptest"
)

// Lists of messages may be longer than any other line, and are read in pieces,
// wherever those end.
func TestLongListsOfNumbers(t *testing.T) {
	t.Parallel()
	for n := 60; n < 140; n++ {
		var spaces, commas []string
		for i := range n {
			spaces = append(spaces, strconv.Itoa(3*i+1))
		}
		commas = append(append(commas, spaces...), spaces[:n/2]...)
		for name, answer := range map[string]string{
			"SEARCH": "* SEARCH " + strings.Join(spaces, " ") + "\r\n", "SEARCH, MODSEQ": "* SEARCH " + strings.Join(spaces, " ") + " (MODSEQ 917162500)\r\n",
			"ESEARCH": "* ESEARCH (TAG \"%T\") UID ALL " + strings.Join(commas, ",") + "\r\n", "ESEARCH, MODSEQ": "* ESEARCH (TAG \"%T\") UID ALL " + strings.Join(commas, ",") + " MODSEQ 917162500\n",
			"VANISHED first": "* VANISHED " + strings.Join(commas, ",") + "\r\n* SEARCH " + strings.Join(spaces, " ") + "\r\n",
		} {
			s := imaptest.Start(t, imaptest.Script{Handle: handlers{"UID SEARCH": imaptest.Answer(answer + "%T OK\r\n")}})
			c := dial(t, s, func(o *Options) {
				o.limits = Options{}.filled().limits
				o.limits.line = 100
			})
			data, err := c.UIDSearch(&imap.SearchCriteria{}, nil).Wait()
			if err != nil {
				t.Fatalf("%s of %d: %v", name, n, c.Explain(err))
			}
			if got := fmt.Sprint(data.AllUIDs()); got != "["+strings.Join(spaces, " ")+"]" {
				t.Errorf("%s of %d: %v", name, n, got)
			}
			c.Close()
		}
	}
}
