package main

import (
	"fmt"
	"time"
	_ "time/tzdata" // a container may have no zones

	"restante/schedules/retention"
)

// KeepRules are the flags that say what is kept.
type KeepRules struct {
	Keep        string `placeholder:"RULES" help:"Keep rules, as in the configuration: 'last 7, daily 30, within 90d'."`
	KeepLast    string `placeholder:"N" help:"Keep the last N snapshots."`
	KeepHourly  string `placeholder:"N" help:"Keep the last snapshot of each of the last N hours that have any."`
	KeepDaily   string `placeholder:"N" help:"Likewise of days."`
	KeepWeekly  string `placeholder:"N" help:"Likewise of weeks, from Monday on."`
	KeepMonthly string `placeholder:"N" help:"Likewise of months."`
	KeepYearly  string `placeholder:"N" help:"Likewise of years."`
	KeepWithin  string `placeholder:"AGE" help:"Keep all that are no older than this when the newest one was made: 12h, 90d, 8w, 6mo, 1y."`
	TimeZone    string `placeholder:"ZONE" help:"Where days, weeks, months and years begin, such as Europe/Berlin (default: that of this computer)."`
}

// given are the rules said on the command line; none if nothing was.
func (k *KeepRules) given() (retention.Policy, error) {
	var p retention.Policy
	if k.Keep != "" {
		var err error
		if p, err = retention.Parse(k.Keep); err != nil {
			return nil, wrongUsage(fmt.Errorf("--keep: %w", err))
		}
	}
	for i, value := range []string{k.KeepLast, k.KeepHourly, k.KeepDaily, k.KeepWeekly, k.KeepMonthly, k.KeepYearly, k.KeepWithin} {
		if value == "" {
			continue
		}
		r, err := retention.NewRule(retention.Names[i], value)
		if err != nil {
			return nil, wrongUsage(fmt.Errorf("--keep-%s: %w", retention.Names[i], err))
		}
		p = append(p, r)
	}
	return p, nil
}

// zone is the one that the rules are applied in.
func (k *KeepRules) zone(c *config) (*time.Location, error) {
	name := k.TimeZone
	if name == "" {
		name = c.TimeZone
	}
	if name == "" {
		return time.Local, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, withHint(wrongUsage(fmt.Errorf("time zone %q: %w", name, err)), "write it as Europe/Berlin or UTC")
	}
	return zone, nil
}

// keepRules are the rules of an account in the configuration: its own, else
// those for all.
func (c *config) keepRules(account string) (retention.Policy, error) {
	text, where := c.Keep, "keep"
	if configured := c.Accounts[account]; configured != nil && configured.Keep != "" {
		text, where = configured.Keep, fmt.Sprintf("keep of account %q", account)
	}
	if text == "" {
		return nil, nil
	}
	p, err := retention.Parse(text)
	if err != nil {
		return nil, wrongUsage(fmt.Errorf("%s: %s: %w", c.path, where, err))
	}
	return p, nil
}

// proveKeep reads all keep rules, so that a mistake is found before the night
// in which they are needed.
func (c *config) proveKeep() error {
	for _, name := range append([]string{""}, c.accountNames()...) {
		if _, err := c.keepRules(name); err != nil {
			return err
		}
	}
	return nil
}
