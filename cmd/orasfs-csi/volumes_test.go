//go:build linux

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func note(target string) volume {
	return volume{ID: "csi-1", Target: target, Source: "0123456789abcdef", Brought: "x", Wants: wants{Warm: "before", Include: []string{"a"}, Share: share{Reference: reference, Options: []string{"ro"}}}}
}

// Notes are read by the next driver as they were written.
func TestNotes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "volumes")
	all, err := openVolumes(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"/a", "/b", "/c"} {
		if err := all.note(note(target)); err != nil {
			t.Fatal(err)
		}
	}
	if err := all.forget("/b"); err != nil {
		t.Fatal(err)
	}
	if err := all.forget("/b"); err != nil {
		t.Errorf("forgotten twice: %v", err)
	}
	for _, target := range []string{"/a", "/b"} {
		if err := all.warmed(target); err != nil {
			t.Fatal(err)
		}
	}
	again, err := openVolumes(dir)
	if err != nil {
		t.Fatal(err)
	}
	warm := note("/a")
	warm.Warmed = true
	if want := map[string]volume{"/a": warm, "/c": note("/c")}; !reflect.DeepEqual(again.of, want) {
		t.Errorf("%+v, want %+v", again.of, want)
	}
	if !again.uses(warm.Source, "") || !again.uses(warm.Source, "/a") || again.uses("another", "") {
		t.Error("what is used isn't told from what isn't")
	}
	if err := again.forget("/c"); err != nil || again.uses(warm.Source, "/a") {
		t.Errorf("the last that uses a source needs nobody else's, %v", err)
	}
}

// Files that aren't notes, as after a crash, don't keep a driver from starting, and are
// no volumes.
func TestSpoiltNotes(t *testing.T) {
	dir := t.TempDir()
	all := &volumes{dir: dir}
	text, err := json.Marshal(note("/a"))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Base(all.path("/a"))
	for file, content := range map[string]string{
		name:                                  string(text),
		filepath.Base(all.path("/empty")):     "",
		filepath.Base(all.path("/truncated")): string(text[:len(text)/2]),
		filepath.Base(all.path("/zeros")):     strings.Repeat("\x00", len(text)),
		filepath.Base(all.path("/other")):     string(text), // another's target
		filepath.Base(all.path("/no id")):     `{"target":"/no id","source":"0123456789abcdef"}`,
		filepath.Base(all.path("/no source")): `{"id":"x","target":"/no source"}`,
		filepath.Base(all.path("/dots")):      `{"id":"x","target":"/dots","source":"../../../../etc"}`,
		filepath.Base(all.path("/large")):     strings.Repeat(" ", maxNote) + string(text),
		"." + name + "123456":                 string(text), // what wasn't renamed
		"README":                              "hello",
	} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "directory", "file"), 0o700); err != nil {
		t.Fatal(err)
	}
	opened, err := openVolumes(dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]volume{"/a": note("/a")}; !reflect.DeepEqual(opened.of, want) {
		t.Errorf("%+v, want %+v", opened.of, want)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 { // the note, and a directory that is somebody's
		t.Errorf("left: %v, %v", left, err)
	}
}
