package main

import (
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"
)

// Who is being answered when a daemon ends is waited for, and nobody else is answered.
func TestMonitorEnds(t *testing.T) {
	m := &monitor{log: slog.New(slog.DiscardHandler)}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		t.Fatal(err)
	}
	answering, ended := make(chan struct{}), false
	m.serve(l, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		close(answering)
		<-req.Context().Done()
		time.Sleep(50 * time.Millisecond) // or more
		ended = true
	}))
	asked := make(chan error, 1)
	go func() {
		resp, err := http.Get("http://" + l.Addr().String()) //nolint:noctx // the end of the server ends it
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		asked <- err
	}()
	<-answering
	m.end()
	if !ended {
		t.Error("somebody is being answered still")
	}
	if <-asked == nil {
		t.Error("an answer came that nobody gave")
	}
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil { //nolint:noctx // at once
		t.Error("somebody listens still")
	}
	if m.begin() {
		t.Error("somebody is answered after the end")
	}
}

// An address that was taken and never served is given back.
func TestMonitorGivesAddressBack(t *testing.T) {
	r := &mountRequest{metricsAddr: "127.0.0.1:0"}
	m, err := r.newMonitor(t.Context(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	address := m.address.Addr().String()
	m.end()
	if _, err := net.Dial("tcp", address); err == nil { //nolint:noctx // at once
		t.Error("somebody listens still")
	}
}

// A daemon that finds the socket taken has it once the other one has ended, and gives up
// with its own end.
func TestMonitorTakesOver(t *testing.T) {
	dir := runtimeIn(t)
	before, err := listenForStatus(t.Context(), noteOf("/mnt/a"))
	if err != nil {
		t.Fatal(err)
	}
	m := &monitor{log: slog.New(slog.DiscardHandler)}
	m.watch(t.Context(), &served{note: noteOf("/mnt/a")})
	inVain := &monitor{log: m.log}
	inVain.watch(t.Context(), &served{note: noteOf("/mnt/a")})
	inVain.end()
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute) // it bounds a hang
	for {
		conn, err := net.Dial("unix", before.base+socketSuffix) //nolint:noctx // at once
		if err == nil {
			_ = conn.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("nobody has the socket: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	m.end()
	wantNoFiles(t, dir)
}
