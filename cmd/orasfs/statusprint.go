package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/docker/go-units"
)

// printStatus prints how mounts are, for people.
func printStatus(w io.Writer, all []*mountStatus, now time.Time) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) {
		_, _ = fmt.Fprintln(out, printable(fmt.Sprintf(format, args...))) // Flush tells
	}
	for i, s := range all {
		if i > 0 {
			line("")
		}
		line("%s at %s", s.Target, s.Mountpoint)
		if s.State != stateServing {
			line("  %s: %s", s.State, s.Advice)
			continue
		}
		line("  process %d, version %s, since %s (%s)", s.PID, s.Version, s.Since.Local().Format(time.DateTime), units.HumanDuration(now.Sub(s.Since)))
		s.printCounts(line)
		s.printTrouble(line)
		s.printWork(line, now)
		s.printErrors(line)
	}
	return out.Flush()
}

// printCounts prints what was read, where from, and what was asked.
func (s *mountStatus) printCounts(line func(string, ...any)) {
	line("  reads:\t%d requests of the kernel, %s; %d files that it reads by itself", s.Reads.Requests, humanBytes(s.Reads.Bytes), s.Reads.PassthroughOpens)
	c := &s.Cache
	line("  cache:\tmemory %d hits, %s; disk %d hits, %s of %s; %d misses", c.MemoryHits, humanBytes(c.MemoryBytes), c.DiskHits, humanBytes(c.DiskBytes), humanBytes(c.DiskLimit), c.Misses)
	if c.WrongDigests > 0 {
		line("  \t%d didn't match their digest", c.WrongDigests)
	}
	for _, h := range s.Hosts {
		line("  %s:\t%s received; %s", h.Host, humanBytes(h.Received), requestsText(h.Requests))
	}
	for _, reason := range slices.Sorted(maps.Keys(s.Retries)) {
		line("  sent again:\t%d times, %s", s.Retries[reason], reason)
	}
}

// requestsText is "blob 12×206 1×timeout, manifest 1×200".
func requestsText(requests []requestStatus) string {
	var text strings.Builder
	kind := ""
	for _, r := range requests {
		if r.Kind != kind {
			if kind != "" {
				text.WriteString(",")
			}
			fmt.Fprintf(&text, " %s", r.Kind)
			kind = r.Kind
		}
		fmt.Fprintf(&text, " %d×%s", r.Count, r.Outcome)
	}
	return strings.TrimSpace(text.String())
}

// printTrouble prints which hosts aren't asked.
func (s *mountStatus) printTrouble(line func(string, ...any)) {
	for _, t := range s.Trouble {
		if !t.Down.IsZero() {
			line("  DOWN:\t%s, since %s: %s", t.Host, t.Down.Local().Format(time.TimeOnly), t.Reason)
		}
		for _, w := range t.Waits {
			about := "everything"
			if w.About != "" {
				about = w.About
			}
			line("  WAITS:\t%s, until %s, for %s: %s", t.Host, w.Until.Local().Format(time.TimeOnly), about, w.Reason)
		}
	}
}

// printWork prints what is on its way.
func (s *mountStatus) printWork(line func(string, ...any), now time.Time) {
	for _, f := range s.Fetching {
		if f.Size == 0 {
			line("  fetching:\t%s from %s", f.Digest, f.Origin)
			continue
		}
		line("  fetching:\t%s from %s, for %s", f.Digest, f.Origin, units.HumanDuration(now.Sub(f.Since)))
		line("  \t[%s] %s of %s, %s/s, %s", partsBar(f.Parts), humanBytes(f.Here), humanBytes(f.Size), humanBytes(int64(f.Rate)), count(f.Requests, "request"))
	}
	for _, i := range s.Indexing {
		line("  indexing:\t%s, for %s: %s of %s, %d entries", i.Digest, units.HumanDuration(now.Sub(i.Since)), humanBytes(i.Reached), humanBytes(i.Size), i.Entries)
	}
}

// partsBar shows which parts are here: # all of it, + some.
func partsBar(parts []float64) string {
	var bar strings.Builder
	for _, p := range parts {
		switch {
		case p == 1:
			bar.WriteByte('#')
		case p > 0:
			bar.WriteByte('+')
		default:
			bar.WriteByte('.')
		}
	}
	return bar.String()
}

// printErrors prints the latest errors, the latest last.
func (s *mountStatus) printErrors(line func(string, ...any)) {
	for _, e := range s.Errors {
		var text strings.Builder
		for _, a := range e.Attributes {
			fmt.Fprintf(&text, " %s=%s", a.Key, a.Value)
		}
		if e.Count > 1 {
			fmt.Fprintf(&text, " (the latest of %d)", e.Count)
		}
		line("  %s:\t%s %s:%s", e.Level, e.Time.Local().Format(time.DateTime), e.Message, text.String())
	}
}
