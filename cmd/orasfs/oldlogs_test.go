package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// Of the logs of ended mounts the latest stay, and of those that live all.
func TestRemoveLogsBut(t *testing.T) {
	dir := t.TempDir()
	began := time.Now().Add(-time.Hour)
	for i := range 6 {
		for _, suffix := range []string{".log", ".log.old"} {
			path := filepath.Join(dir, fmt.Sprint(i)+suffix)
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			when := began.Add(time.Duration(i) * time.Minute)
			if err := os.Chtimes(path, when, when); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "notes"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := removeLogsBut(dir, map[string]bool{filepath.Join(dir, "0.log"): true}, 2); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if want := []string{"0.log", "0.log.old", "4.log", "4.log.old", "5.log", "5.log.old", "notes"}; !slices.Equal(left, want) {
		t.Errorf("left are %v, want %v", left, want)
	}
}
