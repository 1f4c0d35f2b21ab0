package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// Of warnings and errors the latest twenty are remembered, with all that a line of the
// log has, and all go into the log.
func TestRecentErrors(t *testing.T) {
	var text bytes.Buffer
	recent := newRecentErrors(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
	log := slog.New(recent)
	for i := range 30 {
		log.Error("failed", "number", i)
		log.Info("nothing")
		log.Debug("nothing")
	}
	log.With("a", 1).WithGroup("g").With("b", 2).Warn("a warning", "c", strings.Repeat("ü", maxRecentText), "d", "\xff")
	all := recent.all()
	if len(all) != maxRecentErrors {
		t.Fatalf("%d are remembered", len(all))
	}
	if first := all[0]; first.Message != "failed" || first.Level != "ERROR" || first.Time.IsZero() || fmt.Sprint(first.Attributes) != "[{number 11}]" {
		t.Errorf("the first: %+v", first)
	}
	last := all[len(all)-1]
	if last.Level != "WARN" || len(last.Attributes) != 4 || fmt.Sprint(last.Attributes[:2]) != "[{a 1} {g.b 2}]" || last.Attributes[2].Key != "g.c" || last.Attributes[3].Value != "\uFFFD" {
		t.Errorf("the last: %+v", last)
	}
	if value := last.Attributes[2].Value; len(value) > maxRecentText+len("…") || !strings.HasSuffix(value, "ü…") {
		t.Errorf("a long text is kept with %d bytes", len(value))
	}
	if n := strings.Count(text.String(), "\n"); n != 91 || !strings.Contains(text.String(), "a=1 g.b=2 g.c=") {
		t.Errorf("%d lines in the log", n)
	}
}
