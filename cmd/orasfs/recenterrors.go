package main

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Of what a daemon logs the latest is remembered, for whoever asks how it is.
const (
	maxRecentErrors = 20
	maxRecentText   = 1 << 10 // bytes of each value: a stack is longer
)

// recentErrors is a handler of a log that remembers the latest errors and warnings.
type recentErrors struct {
	slog.Handler
	ring       *errorRing
	attributes []recentAttribute // of With
	group      string            // of WithGroup, with its dot
}

// A recentError is a line of the log, or the latest of several that say the same of the
// same thing.
type recentError struct {
	Time       time.Time         `json:"time"`
	Level      string            `json:"level"`
	Message    string            `json:"message"`
	Count      int               `json:"count"`
	Attributes []recentAttribute `json:"attributes"`
}

type recentAttribute struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// An errorRing holds what is remembered.
type errorRing struct {
	mu   sync.Mutex // guards what follows
	last []recentError
}

func newRecentErrors(h slog.Handler) *recentErrors {
	return &recentErrors{Handler: h, ring: new(errorRing)}
}

// all are those that are remembered, the oldest first.
func (h *recentErrors) all() []recentError {
	h.ring.mu.Lock()
	defer h.ring.mu.Unlock()
	return slices.Clone(h.ring.last)
}

// Handle implements slog.Handler.
func (h *recentErrors) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		e := recentError{Time: r.Time, Level: r.Level.String(), Message: cut(r.Message), Count: 1, Attributes: slices.Clone(h.attributes)}
		r.Attrs(func(a slog.Attr) bool {
			e.Attributes = append(e.Attributes, h.attribute(a))
			return true
		})
		h.ring.add(e)
	}
	return h.Handler.Handle(ctx, r)
}

// add remembers e as the latest, in place of the one before that says the same. Where
// there is no room the oldest warning goes, so that warnings push out no errors: one
// image may give a thousand.
func (r *errorRing) add(e recentError) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := slices.IndexFunc(r.last, e.repeats)
	switch {
	case out >= 0:
		e.Count += r.last[out].Count
	case len(r.last) == maxRecentErrors:
		out = max(0, slices.IndexFunc(r.last, recentError.isWarning))
	}
	if out >= 0 {
		r.last = slices.Delete(r.last, out, out+1)
	}
	r.last = append(r.last, e)
}

// repeats tells whether both say the same of the same thing, which a line's first
// attribute names.
func (e recentError) repeats(other recentError) bool {
	return e.Level == other.Level && e.Message == other.Message && e.about() == other.about()
}

func (e recentError) about() (a recentAttribute) {
	if len(e.Attributes) > 0 {
		a = e.Attributes[0]
	}
	return a
}

func (e recentError) isWarning() bool { return e.Level == slog.LevelWarn.String() }

// WithAttrs implements slog.Handler.
func (h *recentErrors) WithAttrs(attrs []slog.Attr) slog.Handler {
	other := *h
	other.Handler, other.attributes = h.Handler.WithAttrs(attrs), slices.Clone(h.attributes)
	for _, a := range attrs {
		other.attributes = append(other.attributes, h.attribute(a))
	}
	return &other
}

// WithGroup implements slog.Handler.
func (h *recentErrors) WithGroup(name string) slog.Handler {
	other := *h
	other.Handler, other.group = h.Handler.WithGroup(name), h.group+name+"."
	return &other
}

func (h *recentErrors) attribute(a slog.Attr) recentAttribute {
	return recentAttribute{h.group + a.Key, cut(a.Value.Resolve().String())}
}

// cut makes a text short, and UTF-8.
func cut(text string) string {
	if len(text) <= maxRecentText {
		return strings.ToValidUTF8(text, "\uFFFD")
	}
	end := maxRecentText
	for !utf8.RuneStart(text[end]) && end > 0 {
		end--
	}
	return strings.ToValidUTF8(text[:end], "\uFFFD") + "…"
}
