package main

import (
	"bytes"
	"fmt"
	"io"
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

// What says the same of the same thing is one, with its count and the latest words, and
// warnings push out no error, whatever their number.
func TestNoisyWarnings(t *testing.T) {
	recent := newRecentErrors(slog.NewTextHandler(io.Discard, nil))
	log := slog.New(recent)
	for i := range maxRecentErrors / 2 {
		log.Error("read", "reference", i, "error", "gone")
	}
	image := log.With("reference", "app:v1")
	for i := range 1000 {
		image.Warn("an entry is left out", "layer", i)
		log.Warn("an entry is left out", "reference", i)
		log.Error("read", "reference", 3, "error", i)
	}
	errors, warnings := 0, 0
	for _, e := range recent.all() {
		about := fmt.Sprint(e.Attributes)
		switch {
		case e.isWarning():
			warnings++
			if strings.Contains(about, "app:v1") && (e.Count != 1000 || about != "[{reference app:v1} {layer 999}]") {
				t.Errorf("what an image gives is %+v", e)
			}
		case e.Attributes[0].Value == "3":
			errors++
			if e.Count != 1001 || about != "[{reference 3} {error 999}]" {
				t.Errorf("what came again is %+v", e)
			}
		default:
			errors++
			if e.Count != 1 {
				t.Errorf("what came once is %+v", e)
			}
		}
	}
	if errors != maxRecentErrors/2 || warnings != maxRecentErrors/2 {
		t.Errorf("%d errors and %d warnings are remembered", errors, warnings)
	}
}
