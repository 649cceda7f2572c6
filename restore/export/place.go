package export

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"restante/storage"
	"restante/storage/mailfiles"
)

// fit makes a folder's name one that can be a path, which path tells. Names
// that are too long for a file system are cut, and end in a hash, so that no
// two become one and the same name always becomes the same.
func fit(levels []string, path func([]string) (string, error)) (fitting, notes []string, err error) {
	if len(levels) == 0 {
		return nil, nil, errors.New("the folder has no name")
	}
	for _, l := range levels {
		fitting = append(fitting, strings.ToValidUTF8(l, "\ufffd"))
	}
	if strings.EqualFold(fitting[0], "INBOX") {
		fitting[0] = "INBOX"
	}
	_, err = path(fitting)
	if err == nil {
		return fitting, nil, nil
	}
	if !errors.Is(err, mailfiles.ErrName) {
		return nil, nil, err
	}
	sum := sha256.Sum256([]byte(storage.FolderName(levels)))
	mark := " " + hex.EncodeToString(sum[:4])
	for _, most := range []int{60, 30, 15, 8} {
		short := make([]string, len(fitting))
		for i, l := range fitting {
			short[i] = cut(l, most)
		}
		short[len(short)-1] += mark
		if _, err := path(short); err == nil {
			return short, tooLong(short), nil
		}
	}
	// Too many levels.
	short := []string{cut(fitting[len(fitting)-1], 15) + mark}
	if _, err := path(short); err != nil {
		return nil, nil, err
	}
	return short, tooLong(short), nil
}

func tooLong(short []string) []string {
	return []string{fmt.Sprintf("it is called %q there, because its name is too long for a file system", storage.FolderName(short))}
}

// cut returns the first characters of s.
func cut(s string, most int) string {
	for i := range s {
		if most--; most < 0 {
			return s[:i]
		}
	}
	return s
}
