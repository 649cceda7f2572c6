package accounts

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"restante/backup/accounts/peer"
)

// A User is one line of a list of users: what each column says, by the
// column's name. There is a column "user" always.
type User map[string]string

// userColumn is the one that a list has to have.
const userColumn = "user"

// ParseUsers reads a list of users, in CSV (RFC 4180): a first line that has a
// field "user" names the columns; without one, each line is a user name and
// nothing else. Empty lines and those that begin with "#" are passed over.
// What is called where says in errors where the list is from.
func ParseUsers(list []byte, where string) ([]User, error) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(list, []byte("\ufeff"))))
	r.Comment, r.FieldsPerRecord, r.TrimLeadingSpace = '#', -1, true
	var columns []string
	var users []User
	seen := map[string]int{} // user → line
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return users, nil
		}
		if broken, ok := errors.AsType[*csv.ParseError](err); ok {
			return nil, fmt.Errorf("%s:%d: %w", where, broken.Line, broken.Err)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		line, _ := r.FieldPos(0)
		for i := range record {
			record[i] = strings.TrimSpace(record[i])
		}
		if columns == nil {
			columns = []string{userColumn}
			if names := lower(record); slices.Contains(names, userColumn) {
				if columns = names; hasTwice(names) {
					return nil, fmt.Errorf("%s:%d: two columns have one name", where, line)
				}
				continue
			}
		}
		if len(record) != len(columns) {
			return nil, hint("a field with a comma in it is written in quotes",
				"%s:%d: %d fields where there should be %d (%s)", where, line, len(record), len(columns), peer.Text(strings.Join(columns, ", ")))
		}
		u := User{}
		for i, name := range columns {
			u[name] = record[i]
		}
		name := u[userColumn]
		if name == "" {
			return nil, fmt.Errorf("%s:%d: the user is empty", where, line)
		}
		if before, twice := seen[name]; twice {
			return nil, fmt.Errorf("%s:%d: %q stands in line %d already", where, line, name, before)
		}
		seen[name] = line
		users = append(users, u)
	}
}

func lower(list []string) (names []string) {
	for _, s := range list {
		names = append(names, strings.ToLower(s))
	}
	return names
}

func hasTwice(names []string) bool {
	sorted := slices.Sorted(slices.Values(names))
	return len(slices.Compact(sorted)) < len(names)
}

// maxUsers is how many octets a list may have.
const maxUsers = 64 << 20

// UsersFromFile reads a list of users from a file.
func UsersFromFile(path string) ([]User, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read a list of users: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxUsers+1))
	if err != nil {
		return nil, fmt.Errorf("read a list of users: %w", err)
	}
	if len(b) > maxUsers {
		return nil, fmt.Errorf("read a list of users: %s has more than %d octets", path, maxUsers)
	}
	return ParseUsers(b, path)
}

// UsersFromCommand reads the list of users that a command prints. The shell
// runs it, with nothing to read; timeout bounds it. A command that fails gives
// no list, whatever it printed.
func UsersFromCommand(ctx context.Context, line string, timeout time.Duration) ([]User, error) {
	out, err := output(ctx, line, timeout, maxUsers+1)
	if err == nil && len(out) > maxUsers {
		err = fmt.Errorf("the command %q printed more than %d octets", line, maxUsers)
	}
	if err != nil {
		return nil, fmt.Errorf("read a list of users: %w", err)
	}
	return ParseUsers(out, fmt.Sprintf("what %q printed", line))
}

// Fill puts what columns say in place of {column}, as encode writes it.
func (u User) Fill(template string, encode func(value string) (string, error)) (string, error) {
	var b strings.Builder
	for rest := template; ; {
		before, after, found := strings.Cut(rest, "{")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		name, after, found := strings.Cut(after, "}")
		value, known := u[strings.ToLower(name)]
		if !found || !known {
			columns := make([]string, 0, len(u))
			for c := range u {
				columns = append(columns, "{"+c+"}")
			}
			slices.Sort(columns)
			return "", hint("the list has "+peer.Text(strings.Join(columns, ", ")), "%q: there is no column for {%s}", template, name)
		}
		value, err := encode(value)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		rest = after
	}
}

// FillAddress is Fill for an account's address. In the address of a server,
// what columns say means nothing but itself; in that of a directory, it is the
// name of one and leads nowhere else.
func (u User) FillAddress(template string) (string, error) {
	scheme, _, _ := strings.Cut(template, ":")
	if Scheme(strings.ToLower(scheme)).path() {
		return u.FillPath(template)
	}
	return u.Fill(template, func(value string) (string, error) { return inQuery.Replace(escape(value, "@")), nil })
}

// FillPath is Fill for the name of a file or directory: what columns say leads
// nowhere else.
func (u User) FillPath(template string) (string, error) {
	return u.Fill(template, func(value string) (string, error) {
		if value == "" || value == "." || value == ".." || strings.ContainsAny(value, "/\\\x00") {
			return "", fmt.Errorf("%q cannot be a part of the name of a file", value)
		}
		return value, nil
	})
}

// FillCommand is Fill for a command that the shell will run: what columns say
// can mean nothing to the shell.
func (u User) FillCommand(template string) (string, error) {
	return u.Fill(template, func(value string) (string, error) {
		if value == "" || value[0] == '-' || strings.ContainsFunc(value, func(r rune) bool {
			return !('a' <= r|0x20 && r|0x20 <= 'z' || '0' <= r && r <= '9' || strings.ContainsRune("._@+-", r))
		}) {
			return "", fmt.Errorf("%q cannot be a part of a command", value)
		}
		return value, nil
	})
}

// inQuery escapes what means something in the parameters of an address.
var inQuery = strings.NewReplacer("&", "%26", "=", "%3D", "+", "%2B", ";", "%3B")
