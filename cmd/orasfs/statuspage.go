package main

import (
	"cmp"
	"slices"
	"time"

	"github.com/orasfs/orasfs/cache"
	"github.com/orasfs/orasfs/fs"
	"github.com/orasfs/orasfs/resolver"
)

// A served is what a daemon serves, with all that knows how it goes.
type served struct {
	note    mountNote
	traffic *resolver.Traffic
	cache   *cache.Cache
	mount   *fs.Server
	errors  *recentErrors
}

// A mountStatus is how a mount is: what orasfs status prints.
type mountStatus struct {
	mountNote
	// State is serving, or why there is nothing more: dead, silent (its daemon is
	// there and doesn't answer), or unknown (it has no socket that can be found).
	State  string `json:"state"`
	Advice string `json:"advice,omitempty"` // what to do about it

	Hosts    []hostStatus     `json:"hosts"`
	Trouble  []hostTrouble    `json:"trouble"` // hosts that aren't asked now
	Retries  map[string]int64 `json:"retries"` // by their reasons
	Reads    readStatus       `json:"reads"`
	Cache    cacheStatus      `json:"cache"`
	Fetching []fetchStatus    `json:"fetching"`
	Indexing []indexStatus    `json:"indexing"`
	Errors   []recentError    `json:"errors"` // the latest, and warnings; the oldest first
}

const (
	stateServing = "serving"
	stateDead    = "dead"
	stateSilent  = "silent"
	stateUnknown = "unknown"
)

// A hostStatus is what a host was asked.
type hostStatus struct {
	Host     string          `json:"host"`
	Received int64           `json:"received"` // bytes
	Requests []requestStatus `json:"requests"`
}

type requestStatus struct {
	Kind    string  `json:"kind"`
	Outcome string  `json:"outcome"`
	Count   uint64  `json:"count"`
	Seconds float64 `json:"seconds"` // until the answers began, in all
}

// A hostTrouble is why a host isn't asked.
type hostTrouble struct {
	Host     string       `json:"host"`
	Registry string       `json:"registry"` // that has to do with it
	Down     time.Time    `json:"down,omitzero"`
	Reason   string       `json:"reason,omitempty"` // of being down
	Waits    []waitStatus `json:"waits,omitempty"`
}

// A waitStatus is that a host has asked to be left alone.
type waitStatus struct {
	About  string    `json:"about,omitempty"` // requests of that kind; all without
	Until  time.Time `json:"until"`
	Reason string    `json:"reason"`
}

// A readStatus is what the kernel read.
type readStatus struct {
	Requests         uint64 `json:"requests"`
	Bytes            int64  `json:"bytes"`
	PassthroughOpens int64  `json:"passthroughOpens"`
}

// A cacheStatus is where what was read came from, in chunks and documents.
type cacheStatus struct {
	MemoryHits   int64 `json:"memoryHits"`
	DiskHits     int64 `json:"diskHits"`
	Misses       int64 `json:"misses"`
	MemoryBytes  int64 `json:"memoryBytes"`
	DiskBytes    int64 `json:"diskBytes"`
	DiskLimit    int64 `json:"diskLimit"`
	EvictedBytes int64 `json:"evictedBytes"`
	WrongDigests int64 `json:"wrongDigests"`
}

// A fetchStatus is a blob that is on its way. Of one of at most 4 MiB there is no more
// than its digest.
type fetchStatus struct {
	Origin   string    `json:"origin"`
	Digest   string    `json:"digest"`
	Size     int64     `json:"size,omitempty"`
	Here     int64     `json:"here,omitempty"`     // bytes
	Parts    []float64 `json:"parts,omitempty"`    // how much is here of equal parts of it, 0 to 1
	Rate     float64   `json:"rate,omitempty"`     // bytes a second
	Requests int       `json:"requests,omitempty"` // under way
	Since    time.Time `json:"since,omitzero"`
}

// An indexStatus is a layer of which is being found out what is in it.
type indexStatus struct {
	Digest  string    `json:"digest"`
	Size    int64     `json:"size"`
	Reached int64     `json:"reached"` // bytes, at least
	Entries int       `json:"entries"`
	Since   time.Time `json:"since"`
}

// newStatus is one of which nothing more is known. Its lists are empty, in JSON too.
func newStatus(n mountNote, state string) *mountStatus {
	return &mountStatus{
		mountNote: n, State: state, Hosts: []hostStatus{}, Trouble: []hostTrouble{}, Retries: map[string]int64{},
		Fetching: []fetchStatus{}, Indexing: []indexStatus{}, Errors: []recentError{},
	}
}

// status is how it is now.
func (s *served) status() *mountStatus {
	of, stats := newStatus(s.note, stateServing), s.mount.Stats()
	of.Hosts, of.Trouble = hostStatuses(s.traffic.Snapshot()), troubles(s.traffic.States())
	of.Retries = s.traffic.Retries()
	of.Reads = readStatus{Bytes: stats.ReadBytes, PassthroughOpens: stats.PassthroughOpens}
	for _, r := range stats.Requests {
		if r.Operation == "read" {
			of.Reads.Requests = r.Count
		}
	}
	c := s.cache.Stats()
	of.Cache = cacheStatus{
		MemoryHits: c.MemoryHits, DiskHits: c.DiskHits, Misses: c.Misses, MemoryBytes: c.MemoryBytes, DiskBytes: c.DiskBytes,
		DiskLimit: c.DiskLimit, EvictedBytes: c.EvictedBytes, WrongDigests: c.WrongDigests,
	}
	of.Fetching = fetchStatuses(s.cache.Fetching())
	for _, i := range s.mount.Indexing() {
		of.Indexing = append(of.Indexing, indexStatus{i.Digest.String(), i.Size, i.Reached, i.Entries, i.Since})
	}
	of.Errors = append(of.Errors, s.errors.all()...)
	return of
}

func hostStatuses(traffic []resolver.HostTraffic) []hostStatus {
	hosts := []hostStatus{}
	for _, t := range traffic {
		h := hostStatus{Host: t.Host, Received: t.Received, Requests: []requestStatus{}}
		for _, r := range t.Requests {
			h.Requests = append(h.Requests, requestStatus{r.Kind, r.Outcome, r.Count, r.Seconds})
		}
		slices.SortFunc(h.Requests, func(a, b requestStatus) int {
			return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Outcome, b.Outcome))
		})
		hosts = append(hosts, h)
	}
	slices.SortFunc(hosts, func(a, b hostStatus) int { return cmp.Compare(a.Host, b.Host) })
	return hosts
}

func troubles(states []resolver.HostState) []hostTrouble {
	all := []hostTrouble{}
	for _, s := range states {
		t := hostTrouble{Host: s.Host, Registry: s.Registry, Down: s.Down, Reason: s.DownReason}
		for _, h := range s.Holds {
			t.Waits = append(t.Waits, waitStatus{h.About, h.Until, h.Reason})
		}
		all = append(all, t)
	}
	return all
}

func fetchStatuses(fetching []cache.Fetching) []fetchStatus {
	all := []fetchStatus{}
	for _, f := range fetching {
		s := fetchStatus{
			Origin: f.Origin, Digest: f.Digest.String(), Size: f.Size, Here: f.Here,
			Rate: f.Rate, Requests: f.Requests, Since: f.Since,
		}
		if f.Size > 0 {
			filled := f.Filled()
			s.Parts = filled[:]
		}
		all = append(all, s)
	}
	return all
}
