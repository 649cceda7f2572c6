package main

import "testing"

// An administrator restores into two mailboxes, one after the other. What was
// noted of one is not true of the other.
func TestTwoMailboxesBehindOneLoginAreTwoPlaces(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, url := range []string{
		"imaps://admin@h?authzid=alice", "imaps://admin@h?authzid=bob",
		"imaps://alice@h?master=admin", "imaps://bob@h?master=admin",
	} {
		a := &app{Globals: new(Globals), file: new(config), env: lookupEnv}
		acct, err := a.account(t.Context(), url+"&ca=x", "", new(AccountAccess))
		if err != nil {
			t.Fatal(err)
		}
		location := acct.location()
		if location != url {
			t.Errorf("%s is known as %s", url, location)
		}
		if other, ok := seen[location]; ok {
			t.Errorf("%s and %s are both %s", url, other, location)
		}
		seen[location] = url
	}
}
