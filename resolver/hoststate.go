package resolver

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// A HostState is what keeps a host from being asked at the moment.
type HostState struct {
	Host     string // HOST[:PORT]
	Registry string // that has to do with it, HOST[:PORT] as it was given
	// Down is since when it is, zero if it isn't, and DownReason why.
	Down       time.Time
	DownReason string
	Holds      []HoldState
}

// A HoldState is that a host has asked to be left alone.
type HoldState struct {
	About  string // which requests it meant, as "GET/manifests/"; "" is all
	Until  time.Time
	Reason string
}

// States are the hosts that can't be asked now, of all open registries, in the order
// of their names.
func (t *Traffic) States() []HostState {
	t.mu.Lock()
	networks := slices.Collect(maps.Keys(t.networks))
	t.mu.Unlock()
	var states []HostState
	for _, network := range networks {
		network.mu.Lock()
		all := slices.Collect(maps.Values(network.table))
		network.mu.Unlock()
		for _, h := range all {
			if s := h.currentState(); !s.Down.IsZero() || len(s.Holds) > 0 {
				states = append(states, s)
			}
		}
	}
	slices.SortFunc(states, func(a, b HostState) int {
		return strings.Compare(a.Host+" "+a.Registry, b.Host+" "+b.Registry)
	})
	return states
}

// currentState is what is known of a host now.
func (h *host) currentState() HostState {
	s := HostState{Host: h.origin.Host, Registry: h.table.registry}
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.fallen; f != nil {
		s.Down, s.DownReason = f.since, f.cause.Error()
	}
	for _, about := range slices.Sorted(maps.Keys(h.holds)) {
		if held := h.holds[about]; time.Now().Before(held.until) {
			s.Holds = append(s.Holds, HoldState{about, held.until, held.err.Error()})
		}
	}
	return s
}

// join has the hosts of a registry among the States, until leave.
func (t *Traffic) join(network *hosts) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.networks == nil {
		t.networks = make(map[*hosts]struct{})
	}
	t.networks[network] = struct{}{}
}

func (t *Traffic) leave(network *hosts) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.networks, network)
}
