package imapconn

import "testing"

func TestNumbersComeInAscendingOrder(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"1":                     "1",
		"3,2,1":                 "1:3",
		"1:5,3:9,10":            "1:10",
		"7,5,7,5":               "5,7",
		"4294967295,1,3":        "1,3,4294967295",
		"1,4294967294:9,5":      "1,5,9:4294967294",
		"4000000000,3000000000": "3000000000,4000000000", // further apart than numbers of 31 bits
	} {
		set, ok := parseNumbers([]byte(in), false)
		if got := string(set.append(nil)); !ok || got != want {
			t.Errorf("%s is read as %s, not as %s", in, got, want)
		}
	}
}
