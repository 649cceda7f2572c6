package objects

import (
	"errors"
	"fmt"
	"strings"
)

// maxName is the length in octets of the longest name.
const maxName = 200

// CheckName returns nil if name can be the name of an object, and an error
// that wraps ErrRefused if not. Every store asks it first, so that no name
// leads out of a store: there is no "..", no hidden file, no empty part.
func CheckName(name string) error {
	if err := checkName(name); err != nil {
		return fmt.Errorf("%w: %q is no name for an object: %w", ErrRefused, shorten(name), err)
	}
	return nil
}

// CheckPut returns nil if data may be put under name.
func CheckPut(name string, data []byte) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if len(data) > MaxSize {
		return fmt.Errorf("%w: %d octets are too many for one object, at most %d go in", ErrRefused, len(data), MaxSize)
	}
	return nil
}

// CheckGet returns nil if a range from offset on may be asked of name.
func CheckGet(name string, offset int64) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if offset < 0 {
		return fmt.Errorf("%w: a range cannot begin at %d", ErrRefused, offset)
	}
	return nil
}

// CheckList returns nil if prefix and after can be beginnings of names.
func CheckList(prefix, after string) error {
	for _, s := range []string{prefix, after} {
		if err := checkBeginning(s); err != nil {
			return fmt.Errorf("%w: no name of an object begins with %q: %w", ErrRefused, shorten(s), err)
		}
	}
	return nil
}

func checkName(name string) error {
	if err := checkBeginning(name); err != nil {
		return err
	}
	if name == "" || strings.HasSuffix(name, "/") {
		return errors.New("a part of it is empty")
	}
	if strings.HasSuffix(name, ".") {
		return errors.New("a part of it ends with a dot")
	}
	return nil
}

// checkBeginning checks all that can be said of the beginning of a name, which
// may stop within a part.
func checkBeginning(s string) error {
	if len(s) > maxName {
		return fmt.Errorf("it has %d octets, more than %d", len(s), maxName)
	}
	before := byte('/')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '/' && before == '/':
			return errors.New("a part of it is empty")
		case c == '/' && before == '.':
			return errors.New("a part of it ends with a dot")
		case c == '.' && before == '/':
			return errors.New("a part of it begins with a dot")
		case c == '/', c == '.', c == '-', c == '_',
			'0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		default:
			return fmt.Errorf("octet %d of it is neither an ASCII letter nor a digit nor one of . - _ /", i+1)
		}
		before = s[i]
	}
	return nil
}

// shorten keeps a hostile name from filling an error message.
func shorten(s string) string {
	if len(s) <= maxName {
		return s
	}
	return s[:maxName] + "…"
}
