package main

import (
	"errors"
	"fmt"
	"strings"

	"restante/backup/accounts"
	"restante/storage/mailfiles/thunderbird"
)

// parseAddress reads an account's address. Where it is Thunderbird's and names
// no profile, the address is of the one that is found.
func parseAddress(raw string) (accounts.Address, error) {
	address, err := accounts.Parse(raw)
	if err != nil || address.Scheme != accounts.Thunderbird || address.Dir != "" {
		return address, err
	}
	places, err := thunderbird.Here()
	if err != nil {
		return address, err
	}
	profiles, err := thunderbird.Find(places)
	if err != nil {
		return address, err
	}
	p, ok := thunderbird.Choose(profiles)
	switch {
	case len(profiles) == 0:
		return address, withHint(errors.New("no profile of Thunderbird was found on this computer"), "thunderbird:DIRECTORY names one; Thunderbird shows where it is under Help, Troubleshooting Information")
	case !ok:
		var list []string
		for _, p := range profiles {
			list = append(list, fmt.Sprintf("thunderbird:%s (%s)", p.Dir, p.Name))
		}
		return address, withHint(errors.New("there are several profiles of Thunderbird on this computer"), "name one:\n%s", strings.Join(list, "\n"))
	}
	address.Dir = p.Dir
	return address, nil
}
