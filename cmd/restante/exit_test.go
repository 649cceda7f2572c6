package main

import (
	"errors"
	"fmt"
	"testing"

	"restante/storage"
	"restante/storage/objects"
)

func TestExitCodes(t *testing.T) {
	plain, full := errors.New("plain"), fmt.Errorf("account: %w", objects.ErrFull)
	for want, list := range map[int][]error{
		exitDone:         {nil},
		exitFailed:       {plain, errInterrupted, failedAlike([]error{plain, full}), failedAlike([]error{full, plain}), failedAlike([]error{plain})},
		exitUsage:        {wrongUsage(plain), withHint(wrongUsage(plain), "hint")},
		exitIncomplete:   {errIncomplete},
		exitNoRepository: {fmt.Errorf("x: %w", storage.ErrNoRepository)},
		exitWrongKey:     {&marked{plain, storage.ErrWrongKey}},
		exitRefused:      {full, objects.ErrRefused, objects.ErrBroken, failedAlike([]error{full, fmt.Errorf("x: %w", objects.ErrRefused)})},
	} {
		for _, err := range list {
			got := exitDone
			if err != nil {
				got = exitCode(err)
			}
			if got != want {
				t.Errorf("%v: exit code %d, want %d", err, got, want)
			}
		}
	}
	if err := wrongUsage(plain); err.Error() != "plain" || !errors.Is(err, plain) {
		t.Error("a mark is seen in the error, or hides it")
	}
}
