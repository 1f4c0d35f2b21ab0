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
