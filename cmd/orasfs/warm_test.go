package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/fs"
)

func TestParseChoice(t *testing.T) {
	d := digest.FromString("x").String()
	for text, want := range map[string][4]string{
		"ghcr.io/org/app:v1":                     {"ghcr.io", "org/app", "v1", ""},
		"localhost:5000/app:v1":                  {"localhost:5000", "app", "v1", ""},
		"localhost:5000/app:v1/":                 {"localhost:5000", "app", "v1", ""},
		"[::1]:5000/app:v1/rootfs/usr/lib":       {"[::1]:5000", "app", "v1", "rootfs/usr/lib"},
		"ghcr.io/app@" + d:                       {"ghcr.io", "app", d, ""},
		"ghcr.io/a/b@" + d + "/files/x:y@z/":     {"ghcr.io", "a/b", d, "files/x:y@z/"},
		"ghcr.io/app:v1/platforms/linux-arm64":   {"ghcr.io", "app", "v1", "platforms/linux-arm64"},
		"ghcr.io/app:v1//files/../layers/00/etc": {"ghcr.io", "app", "v1", "/files/../layers/00/etc"},
	} {
		c, err := parseChoice(text)
		if got := [4]string{c.Host, c.Name, c.Reference, c.Path}; err != nil || got != want {
			t.Errorf("%s: %q, not %q (%v)", text, got, want, err)
		}
	}
	for text, words := range map[string][]string{
		"":                       nil,
		"ghcr.io":                {"no tag and no digest"},
		"ghcr.io/org/app":        {"no tag and no digest"},
		"localhost:5000/app/b":   {"no tag and no digest"},
		"ghcr.io/app:":           nil,
		"ghcr.io/app:v1 2":       nil,
		"ghcr.io/App:v1":         nil,
		"ghcr.io/app@sha256:abc": nil,
		"https://ghcr.io/app:v1": nil,
		"ghcr.io/:v1":            nil,
	} {
		_, err := parseChoice(text)
		if err == nil {
			t.Errorf("%q is taken for a TARGET", text)
			continue
		}
		wantError(t, err, words...)
	}
}

// What can't be had is told, in JSON as on a terminal.
func TestWarmReport(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var stdout, stderr strings.Builder
		r := newWarmReport(&warmFlags{format: choice{value: format}}, &stdout, &stderr)
		r.fail("ghcr.io/app:v1", errors.New("no such\n\x1b[2Jthing"))
		if err := r.done(t.Context(), nil); !errors.Is(err, errNotWarm) || !errors.As(err, new(loggedError)) {
			t.Errorf("%s: %v", format, err)
		}
		if got := stderr.String(); got != `orasfs: ghcr.io/app:v1: no such \x1b[2Jthing`+"\n" {
			t.Errorf("%s: it says %q", format, got)
		}
		if format == "text" {
			if stdout.String() != "" {
				t.Errorf("it prints %q", stdout.String())
			}
			continue
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(stdout.String()), &got); err != nil {
			t.Fatalf("%v: %s", err, stdout.String())
		}
		failed, _ := got["failed"].([]any)
		if parts, ok := got["parts"].([]any); !ok || len(parts) != 0 || len(failed) != 1 || got["size"] != 0.0 || got["here"] != 0.0 {
			t.Errorf("it prints %s", stdout.String())
		}
	}
	interrupted, interrupt := context.WithCancel(t.Context())
	interrupt()
	var stdout strings.Builder
	r := newWarmReport(&warmFlags{format: choice{value: "text"}, check: true}, &stdout, &stdout)
	if err := r.done(interrupted, nil); !errors.Is(err, errInterrupted) || stdout.String() != "" {
		t.Errorf("interrupted: %v, %q", err, stdout.String())
	}
}

// A blob that is wanted twice takes its room once.
func TestSizeOf(t *testing.T) {
	part := func(content string, size int64) *warmPart {
		return &warmPart{Part: &fs.Part{Digest: digest.FromString(content), Size: size}}
	}
	if got := sizeOf([]*warmPart{part("a", 10), part("b", 5), part("a", 4), part("b", 7)}); got != 17 {
		t.Errorf("%d bytes, not 17", got)
	}
}

func TestShare(t *testing.T) {
	for _, c := range []struct {
		part, whole int64
		want        string
	}{{0, 0, "100%"}, {0, 5, "  0%"}, {5, 5, "100%"}, {1 << 50, 1<<50 + 1, " 99%"}, {1, 3, " 33%"}} {
		if got := share(c.part, c.whole); got != c.want {
			t.Errorf("%d of %d: %q, not %q", c.part, c.whole, got, c.want)
		}
	}
}

// A bar has room for the end of a name.
func TestBarName(t *testing.T) {
	for name, want := range map[string]string{
		"layers/00-a": "layers/00-a", "a\x1b[2J": `a\x1b[2J`, strings.Repeat("é", 39) + "-end": "…" + strings.Repeat("é", 35) + "-end", strings.Repeat("n", 40): strings.Repeat("n", 40),
	} {
		if got := barName(name); got != want {
			t.Errorf("%q is %q, not %q", name, got, want)
		}
	}
}
