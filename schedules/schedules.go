// Package schedules says what is done when, and to which accounts: [Plan]
// makes of schedules and accounts what package queue is told, and a [Handler]
// does what comes due.
package schedules

import (
	"slices"
	"time"

	"restante/schedules/calendar"
	"restante/schedules/queue"
)

// A Schedule is a job that is done again and again.
type Schedule struct {
	Name  string
	Job   queue.Kind
	Rule  calendar.Rule
	Table *calendar.Table // of the Rule
	// Of says whether an account is of the schedule; for jobs of an account.
	Of func(a Account) bool
	// Skip leaves out what was missed.
	Skip bool
}

// An Account is one that schedules may be for.
type Account struct {
	Name   string
	Group  string
	Server string // host name; empty: its mail is on this computer
	// Schedules are the names of those that back it up, in place of the ones
	// that it would be of.
	Schedules []string
}

// PerAccount says that each account has a run of its own.
func PerAccount(job queue.Kind) bool { return job == queue.Backup || job == queue.Export }

// Plan is what there is to do. Last tells when a job was last done, as far as
// the repository knows; zero: never.
func Plan(list []Schedule, accounts []Account, last func(job queue.Kind, account string) time.Time) (plan []queue.Entry) {
	for _, s := range list {
		entry := queue.Entry{Schedule: s.Name, Kind: s.Job, Timetable: s.Table, Skip: s.Skip}
		if !PerAccount(s.Job) {
			entry.Last = last(s.Job, "")
			plan = append(plan, entry)
			continue
		}
		for _, a := range accounts {
			if !s.Has(a) {
				continue
			}
			entry.Account, entry.Server, entry.Last = a.Name, a.Server, last(s.Job, a.Name)
			plan = append(plan, entry)
		}
	}
	return plan
}

// Has says whether the schedule has runs of the account.
func (s *Schedule) Has(a Account) bool {
	if !PerAccount(s.Job) {
		return false
	}
	if s.Job == queue.Backup && len(a.Schedules) > 0 {
		return slices.Contains(a.Schedules, s.Name)
	}
	return s.Of == nil || s.Of(a)
}

// Unplanned are the accounts that no backup is planned for.
func Unplanned(list []Schedule, accounts []Account) (names []string) {
	for _, a := range accounts {
		if !slices.ContainsFunc(list, func(s Schedule) bool { return s.Job == queue.Backup && s.Has(a) }) {
			names = append(names, a.Name)
		}
	}
	return names
}
