package main

import (
	"strings"
	"testing"
	"time"
)

// What registries wrote is printed as text, whatever it holds, and a bar shows what is
// here.
func TestPrintStatus(t *testing.T) {
	now := time.Now()
	s := &mountStatus{
		mountNote: mountNote{Target: "registry.example", Mountpoint: "/mnt/oci", PID: 7, Version: "v1", Since: now.Add(-time.Hour)}, State: stateServing,
		Hosts:    []hostStatus{{Host: "cdn.example", Received: 2048, Requests: []requestStatus{{"blob", "206", 3, 1}, {"blob", "timeout", 1, 1}, {"tags", "200", 2, 1}}}},
		Retries:  map[string]int64{"stalled": 1},
		Trouble:  []hostTrouble{{Host: "cdn.example", Down: now, Reason: "\x1b[2Jno route"}, {Host: "registry.example", Waits: []waitStatus{{Until: now, Reason: "429"}}}},
		Fetching: []fetchStatus{{Digest: "sha256:a", Origin: "registry.example"}, {Digest: "sha256:b", Size: 4096, Here: 1536, Parts: []float64{1, 0.5, 0, 0}, Rate: 1024, Requests: 1, Since: now}},
		Indexing: []indexStatus{{Digest: "sha256:c", Size: 4096, Reached: 1024, Entries: 5, Since: now}},
		Errors:   []recentError{{Time: now, Level: "ERROR", Message: "read blob", Count: 3, Attributes: []recentAttribute{{"error", "two\nlines"}}}},
	}
	dead := &mountStatus{mountNote: mountNote{Target: "other.example", Mountpoint: "/mnt/dead"}, State: stateDead, Advice: "mount it"}
	var text strings.Builder
	if err := printStatus(&text, []*mountStatus{s, dead}, now); err != nil {
		t.Fatal(err)
	}
	flat := strings.Join(strings.Fields(text.String()), " ")
	for _, want := range []string{
		"registry.example at /mnt/oci process 7, version v1", "About an hour", "cdn.example: 2KiB received; blob 3×206 1×timeout, tags 2×200", "sent again: 1 times, stalled",
		`DOWN: cdn.example, since`, `\x1b[2Jno route`, "WAITS: registry.example, until", "for everything: 429", "fetching: sha256:a from registry.example",
		"[#+..] 1.5KiB of 4KiB, 1KiB/s, 1 request", "indexing: sha256:c", "1KiB of 4KiB, 5 entries", "read blob: error=two lines (the latest of 3)", "other.example at /mnt/dead dead: mount it",
	} {
		if !strings.Contains(flat, want) {
			t.Errorf("it doesn't say %q:\n%s", want, text.String())
		}
	}
	if strings.Contains(text.String(), "\x1b") {
		t.Error("an escape is printed")
	}
}
