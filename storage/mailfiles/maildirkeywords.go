package mailfiles

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// keywordTable names what the letters a to z in a folder's file names stand
// for; "" where a letter stands for nothing. Names are as they stand in the
// file and may be none that IMAP has.
type keywordTable [26]string

// keywordFile is Dovecot's file with a folder's table: lines of a number,
// 0 for a, a space and the keyword.
const keywordFile = "dovecot-keywords"

// maxSmallFile is the size in octets up to which the small files beside the
// messages are read; the names of 100,000 folders fit in.
const maxSmallFile = 16 << 20

// readKeywords reads the folder's table. Lines that make no sense are passed
// over.
func (f *MaildirFolder) readKeywords() (keywordTable, error) {
	var table keywordTable
	data, err := readSmall(f.root, keywordFile)
	if err != nil {
		return table, fmt.Errorf("reading the keywords of a Maildir folder: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		number, name, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		if i, err := strconv.Atoi(number); err == nil && i >= 0 && i < len(table) {
			table[i] = name
		}
	}
	return table, nil
}

// letter returns the letter for a keyword, or 0.
func (t *keywordTable) letter(keyword string) byte {
	for i, name := range t {
		if strings.EqualFold(name, keyword) {
			return byte('a' + i)
		}
	}
	return 0
}

// add gives every keyword a letter that has no name and is not among used,
// and reports whether the table is another one now.
func (t *keywordTable) add(keywords []string, used [26]bool) (changed bool) {
	for _, k := range keywords {
		if t.letter(k) != 0 {
			continue
		}
		for i, name := range t {
			if name == "" && !used[i] {
				t[i], changed = k, true
				break
			}
		}
	}
	return changed
}

func (t *keywordTable) format() []byte {
	var b []byte
	for i, name := range t {
		if name != "" {
			b = fmt.Appendf(b, "%d %s\n", i, name)
		}
	}
	return b
}

// keywordsFor returns the folder's table after it has put those of the
// keywords into it for which there was room.
func (f *MaildirFolder) keywordsFor(ctx context.Context, keywords []string) (keywordTable, error) {
	table, err := f.readKeywords()
	if err != nil {
		return table, err
	}
	if grown := table; !grown.add(keywords, [26]bool{}) {
		return table, nil
	}
	// A letter without a name may still be in use. Given a name now, it would
	// put a keyword on messages that nobody gave it to.
	used, err := f.usedLetters(ctx)
	if err != nil {
		return table, err
	}
	err = replaceSmall(ctx, f.root, keywordFile, func([]byte) ([]byte, error) {
		if table, err = f.readKeywords(); err != nil || !table.add(keywords, used) {
			return nil, err
		}
		return table.format(), nil
	})
	return table, err
}

// usedLetters returns which of the letters a to z are in file names.
func (f *MaildirFolder) usedLetters(ctx context.Context) (used [26]bool, err error) {
	for _, dir := range []string{"new", "cur"} {
		_, err := f.eachEntry(ctx, dir, func(e fs.DirEntry) {
			_, letters := splitName(e.Name())
			for i := range letters {
				if letter := letters[i]; 'a' <= letter && letter <= 'z' {
					used[letter-'a'] = true
				}
			}
		})
		if err != nil {
			return used, fmt.Errorf("listing %s of a Maildir folder: %w", dir, err)
		}
	}
	return used, nil
}

// readSmall reads a file whole; it is empty if it does not exist.
func readSmall(root *os.Root, name string) ([]byte, error) {
	file, _, err := openRegular(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSmallFile+1))
	if err == nil && len(data) > maxSmallFile {
		err = fmt.Errorf("%s is larger than %d octets", name, maxSmallFile)
	}
	return data, err
}
