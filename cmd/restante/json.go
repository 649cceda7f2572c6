package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"
)

// What --json prints is one document on standard output, and errors in lines
// of their own on standard error (errorJSON). Names are as in snake_case; times
// are RFC 3339 in UTC, but for those of messages, which keep their zones; a
// field is added now and then, none is renamed or taken away.

// printJSON prints a document.
func (a *app) printJSON(v any) error { return writeJSON(a.out, v, "  ") }

// writeJSON writes a value with no character that a terminal would do
// something about: in JSON each can be written as its number.
func writeJSON(w io.Writer, v any, indent string) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(plainJSON(b.Bytes()))
	return err
}

// plainJSON writes as numbers what encoding/json leaves as it is. Such
// characters can only be inside of strings.
func plainJSON(b []byte) []byte {
	var out []byte
	done := 0
	for i := 0; i < len(b); {
		r, size := utf8.DecodeRune(b[i:])
		if r != '\n' && (steers(r) || turns(r)) {
			out = fmt.Appendf(append(out, b[done:i]...), `\u%04x`, r)
			done = i + size
		}
		i += size
	}
	if done == 0 {
		return b
	}
	return append(out, b[done:]...)
}

// jsonArray prints an array element by element: there may be a million.
func jsonArray(w io.Writer, fill func(add func(any) error) error) error {
	sep := "[\n  "
	err := fill(func(v any) error {
		var b bytes.Buffer
		if err := writeJSON(&b, v, ""); err != nil {
			return err
		}
		_, err := fmt.Fprintf(w, "%s%s", sep, bytes.TrimSuffix(b.Bytes(), []byte("\n")))
		sep = ",\n  "
		return err
	})
	if err != nil {
		return err
	}
	if sep == "[\n  " {
		_, err = fmt.Fprintln(w, "[]")
	} else {
		_, err = fmt.Fprintln(w, "\n]")
	}
	return err
}
