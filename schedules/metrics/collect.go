package metrics

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"restante/schedules/queue"
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("restante_"+name, help, labels, nil)
}

var (
	databaseUp = describe("database_up", "1 if the database of runs answers, else 0.")

	accountAge      = describe("account_last_good_snapshot_age_seconds", "Seconds since the end of the account's last good backup.", "account")
	accountGood     = describe("account_last_run_good", "1 if the account's last backup was done, 0 if it was incomplete or failed.", "account")
	accountServer   = describe("account_server_messages", "Messages that the server had at the last good backup.", "account")
	accountArchive  = describe("account_archive_messages", "Messages in the account's last good snapshot.", "account")
	accountBytes    = describe("account_archive_bytes", "Octets of the messages in the account's last good snapshot.", "account")
	accountStored   = describe("account_last_stored_bytes", "Octets that the account's last good backup added to the repository.", "account")
	accountDuration = describe("account_last_duration_seconds", "How long the account's last good backup took.", "account")

	accounts       = describe("accounts", "Accounts, by how their last backup is.", "state")
	oldestAge      = describe("oldest_good_snapshot_age_seconds", "Seconds since the oldest of the accounts' last good backups.")
	serverMessages = describe("server_messages", "Messages that the servers had at the last good backups.")
	archive        = describe("archive_messages", "Messages in the last good snapshots of all accounts.")
	archiveBytes   = describe("archive_bytes", "Octets of the messages in the last good snapshots of all accounts.")
	upkeepAge      = describe("last_good_run_age_seconds", "Seconds since the end of the last run that did its job.", "kind")

	queueRuns     = describe("queue_runs", "Runs that are not over.", "state")
	alertsOpen    = describe("alerts_open", "Alerts that are open.", "kind")
	machinePlaces = describe("machine_places", "Accounts that a machine works at, at once.", "machine")
	machineSilent = describe("machine_silent_seconds", "Seconds since the database last heard of a machine.", "machine")
	poolSize      = describe("pool_size", "How many there may be at once in this process.", "pool")

	storeOperations = describe("store_operations_total", "Operations on the store by this process.", "operation")
	storeFailed     = describe("store_operations_failed_total", "Operations that ended with an error, what is not there among them.")
	storeRequests   = describe("store_requests_total", "Requests to the store over the network by this process, retries among them.")
	storeBytes      = describe("store_bytes_total", "Octets of objects, put and got by this process.", "direction")
)

// Describe implements prometheus.Collector. Which series there are depends on
// the accounts.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{databaseUp, accountAge, accountGood, accountServer, accountArchive, accountBytes, accountStored, accountDuration,
		accounts, oldestAge, serverMessages, archive, archiveBytes, upkeepAge, queueRuns, alertsOpen, machinePlaces, machineSilent, poolSize,
		storeOperations, storeFailed, storeRequests, storeBytes} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	m.store(ch)
	if m.o.Pools != nil {
		for name, n := range m.o.Pools() {
			gauge(poolSize, float64(n), valid(name))
		}
	}
	h := m.history()
	if h.err != nil { // what was true before is not said again
		gauge(databaseUp, 0)
		return
	}
	gauge(databaseUp, 1)
	m.accounts(gauge, h)
	for _, k := range queue.Kinds {
		if r, ok := h.good[queue.Subject{Kind: k}]; ok {
			gauge(upkeepAge, age(h.at, r.Ended), string(k))
		}
	}
	for _, s := range []queue.State{queue.Waiting, queue.Given, queue.Running} {
		gauge(queueRuns, float64(h.counts[s]), string(s))
	}
	open := map[string]int{"failure": 0, "incomplete": 0, "anomaly": 0, "stale": 0, "check": 0, "rehearsal": 0, "prune": 0, "expiry": 0, "way": 0}
	for _, a := range h.alerts {
		open[a.Kind]++
	}
	for kind, n := range open {
		gauge(alertsOpen, float64(n), kind)
	}
	// Two processes may have the same name; the one that was heard of last is it.
	machines := map[string]queue.Machine{}
	for _, machine := range h.machines {
		if other, ok := machines[machine.Name]; !ok || machine.Silent < other.Silent {
			machines[machine.Name] = machine
		}
	}
	for name, machine := range machines {
		gauge(machinePlaces, float64(machine.AtOnce), valid(name))
		gauge(machineSilent, machine.Silent.Seconds(), valid(name))
	}
}

// accounts shows the accounts, one by one if that is wanted, and all together.
func (m *Metrics) accounts(gauge func(d *prometheus.Desc, v float64, labels ...string), h history) {
	states := map[string]int{"good": 0, "incomplete": 0, "failed": 0, "stale": 0, "never": 0}
	var all snapshot
	var oldest float64
	seen := map[string]bool{}
	for _, name := range m.o.Accounts() {
		label := valid(name)
		if seen[label] {
			continue // a series twice would spoil all of them
		}
		seen[label] = true
		of := queue.Subject{Kind: queue.Backup, Account: name}
		last, ran := h.last[of]
		good, fine := h.good[of]
		switch {
		case ran && last.State == queue.Failed:
			states["failed"]++
		case !fine:
			states["never"]++
		case h.at.Sub(good.Ended) > m.o.StaleAfter:
			states["stale"]++
		case last.State == queue.Incomplete:
			states["incomplete"]++
		default:
			states["good"]++
		}
		if ran && !m.o.Aggregate {
			well := 0.0
			if last.State == queue.Done {
				well = 1
			}
			gauge(accountGood, well, label)
		}
		if !fine {
			continue
		}
		s := snapshotOf(good)
		all.Messages, all.Missing, all.Bytes = all.Messages+s.Messages, all.Missing+s.Missing, all.Bytes+s.Bytes
		oldest = max(oldest, age(h.at, good.Ended))
		if m.o.Aggregate {
			continue
		}
		gauge(accountAge, age(h.at, good.Ended), label)
		gauge(accountServer, float64(s.Messages+s.Missing), label)
		gauge(accountArchive, float64(s.Messages), label)
		gauge(accountBytes, float64(s.Bytes), label)
		gauge(accountStored, float64(s.Stored), label)
		gauge(accountDuration, good.Ended.Sub(good.Started).Seconds(), label)
	}
	for state, n := range states {
		gauge(accounts, float64(n), state)
	}
	gauge(oldestAge, oldest)
	gauge(serverMessages, float64(all.Messages+all.Missing))
	gauge(archive, float64(all.Messages))
	gauge(archiveBytes, float64(all.Bytes))
}

// store shows what was asked of the store.
func (m *Metrics) store(ch chan<- prometheus.Metric) {
	if m.o.Store == nil {
		return
	}
	c := m.o.Store()
	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	counter(storeOperations, c.Puts, "put")
	counter(storeOperations, c.PutsIfAbsent, "put_if_absent")
	counter(storeOperations, c.Gets, "get")
	counter(storeOperations, c.Lists, "list")
	counter(storeOperations, c.Deletes, "delete")
	counter(storeFailed, c.Failed)
	counter(storeRequests, c.Requests)
	counter(storeBytes, c.Stored, "stored")
	counter(storeBytes, c.Fetched, "fetched")
}

// age is a length of time in seconds, of clocks that may differ.
func age(now, then time.Time) float64 { return max(0, now.Sub(then).Seconds()) }

// valid makes a name fit for a label, which is UTF-8.
func valid(name string) string { return strings.ToValidUTF8(name, "\uFFFD") }
