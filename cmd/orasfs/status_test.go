package main

import (
	"errors"
	"strings"
	"testing"
)

// A daemon that lives and can't be asked is silent, one that doesn't live is dead, and one
// that has ended in order isn't there.
func TestDaemonsThatDoNotAnswer(t *testing.T) {
	runtimeIn(t)
	s, err := listenForStatus(t.Context(), noteOf("/mnt/a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	notes, err := findNotes()
	if err != nil || len(notes) != 1 {
		t.Fatalf("notes %v, %v", notes, err)
	}
	m := &foundMount{notes: notes}
	if got := m.ask(t.Context(), "/mnt/a"); got.State != stateSilent || !strings.Contains(got.Advice, "umount --lazy /mnt/a") {
		t.Errorf("alive: %+v", got)
	}
	if err := s.note.Close(); err != nil {
		t.Fatal(err)
	}
	if got := m.ask(t.Context(), "/mnt/a"); got.State != stateDead || !strings.Contains(got.Advice, "orasfs mount registry.example /mnt/a") {
		t.Errorf("dead: %+v", got)
	}
	if removed, err := removeLeftovers("/mnt/a"); !removed || err != nil {
		t.Error(err)
	}
	if got := m.ask(t.Context(), "/mnt/a"); got != nil {
		t.Errorf("gone: %+v", got)
	}
	if !errors.As(errNotServing, new(loggedError)) {
		t.Error("what was printed is printed again")
	}
}
