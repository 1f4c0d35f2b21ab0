package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// hostile is what a registry might say, and no terminal should see.
const hostile = "\x1b[2J\x1b]0;title\x07 bell\b\x7f \u009b31m \u202etxt.exe \xff\nnext\rline é 漢字 \U000e0041"

// wantQuoted fails the test if a line holds what a terminal would act on, or
// lacks what it would show.
func wantQuoted(t *testing.T, text string) {
	t.Helper()
	if i := strings.IndexFunc(strings.TrimSuffix(text, "\n"), func(r rune) bool {
		return r < ' ' && r != '\t' || r >= 0x7f && r <= 0x9f || r == '\u202e' || r == '\U000e0041'
	}); i >= 0 {
		t.Errorf("%q holds %q", text, text[i])
	}
	for _, shown := range []string{"[2J", "title", "txt.exe", "é 漢字"} {
		if !strings.Contains(text, shown) {
			t.Errorf("%q doesn't hold %q", text, shown)
		}
	}
}

func TestPrintable(t *testing.T) {
	got := printable(hostile)
	wantQuoted(t, got)
	if !strings.HasPrefix(got, `\x1b[2J\x1b]0;title\a bell\b\x7f \u009b31m`) || !strings.Contains(got, "next line") {
		t.Errorf("it is printed as %s", got)
	}
	if again := printable(got); again != got {
		t.Errorf("quoted twice it is %s, was %s", again, got)
	}
}

// Every kind of log quotes, wherever the text is in a line.
func TestLogQuotes(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		var log bytes.Buffer
		newLogger(&log, format, false).Warn("said: "+hostile, "error", errors.New(hostile), "text", hostile)
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Errorf("%s: %d lines", format, n)
		}
		wantQuoted(t, log.String())
		var line struct{ Text string }
		if format == "json" {
			if err := json.Unmarshal(log.Bytes(), &line); err != nil || line.Text != strings.ToValidUTF8(hostile, "\uFFFD") {
				t.Errorf("the line says %q, %v", line.Text, err)
			}
		}
	}
}

// What a command prints is quoted.
func TestErrorsAreQuoted(t *testing.T) {
	withoutSettings(t)
	var stderr bytes.Buffer
	if code := run(context.Background(), []string{"umount", "/" + strings.ReplaceAll(hostile, "/", "")}, &stderr); code != exitFailure {
		t.Errorf("exit code %d", code)
	}
	wantQuoted(t, stderr.String())
}
