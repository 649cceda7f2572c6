package main

import (
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

func TestDayShare(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]dayShare{
		"1/30": 30, "1/1": 1, "5%": 20, "0.05": 20, "100%": 1, "1": 1, "3%": 33, "40%": 2, "1/3660": 3660,
		"": 0, "0": 0, "1/0": 0, "1/-3": 0, "2/3": 0, "200%": 0, "-5%": 0, "1/3661": 0, "0.0000001%": 0, "NaN": 0, "half": 0,
	} {
		var into struct {
			Check checkCmd `cmd:""`
		}
		parser, err := kong.New(&into)
		if err != nil {
			t.Fatal(err)
		}
		_, err = parser.Parse([]string{"check", "--read-share=" + text})
		if got := into.Check.ReadShare; got != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	if s := dayShare(30).on(time.Unix(86400*20000, 0)); s == nil || s.Days != 30 || s.Day != 20000 {
		t.Errorf("%+v", s)
	}
	if s := dayShare(0).on(time.Now()); s != nil {
		t.Errorf("%+v", s)
	}
}
