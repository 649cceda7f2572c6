package accounts

import (
	"context"
	"fmt"
	"strings"

	"restante/backup/accounts/directory"
)

// UsersFromDirectory reads the list of users that an LDAP directory has. The
// columns are the user and the attributes that are asked for, by their names in
// lower case.
func UsersFromDirectory(ctx context.Context, s directory.Search) ([]User, error) {
	entries, err := s.Users(ctx)
	if err != nil {
		return nil, fmt.Errorf("read a list of users: %w", err)
	}
	var users []User
	for _, e := range entries {
		u := User{}
		for name, value := range e.Values {
			u[strings.ToLower(name)] = value
		}
		u[userColumn] = e.User
		users = append(users, u)
	}
	return users, nil
}
