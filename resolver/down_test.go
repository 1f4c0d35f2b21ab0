package resolver

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// A host that is down fails at once, is asked by one probe at a time, and is
// back when it answers.
func TestDown(t *testing.T) {
	fake := fakeregistry.New()
	desc := fake.AddBlob("app", alphabet)
	server := httptest.NewServer(fake)
	address := server.Listener.Addr().String()
	r := repoOf(t, dial(t, address, Options{}), "app")
	if _, _, err := fetch(r.Blob(desc), 0, 4); err != nil {
		t.Fatal(err)
	}
	server.Close()
	_, _, err := fetch(r.Blob(desc), 0, 4)
	wantIs(t, err, syscall.ECONNREFUSED)
	for range 20 {
		_, resolveErr := r.Resolve(t.Context(), "v1")
		_, _, fetchErr := fetch(r.Blob(desc), 0, 4)
		for _, err := range []error{resolveErr, fetchErr} {
			wantIs(t, err, syscall.ECONNREFUSED)
			if err == nil || !strings.Contains(err.Error(), "down since") {
				t.Errorf("error %v", err)
			}
		}
	}
	fake.Reset()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Skip(err) // somebody else took the port
	}
	again := &httptest.Server{Listener: listener, Config: &http.Server{Handler: fake}}
	again.Start()
	defer again.Close()
	untilUp(r)
	if got, _, err := fetch(r.Blob(desc), 0, 4); got != "abcd" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	for _, request := range fake.Requests() {
		if request.Path == "/v2/" && request.Header.Get("Authorization") != "" {
			t.Error("a probe bears a credential")
		}
	}
}

// A stalled host takes everybody's time once: those who wait for it fail with
// the first.
func TestDownEndsAllWaits(t *testing.T) {
	t.Parallel()
	fake := fakeregistry.New()
	fake.AddArtifact("app", "v1", "", nil)
	fake.Inject(fakeregistry.Fault{Stall: true})
	r := repo(t, fake, Options{Timeout: shortTimeout, Concurrency: 1})
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			desc := fake.AddBlob("app", alphabet)
			_, _, err := fetch(r.Blob(desc), 0, 4)
			wantIs(t, err, context.DeadlineExceeded)
		})
	}
	all.Wait()
	asked := fake.Count("", "/blobs/")
	if asked > 20 { // if each took its own time it would be 100, two at once
		t.Errorf("%d requests", asked)
	}
	for range 20 {
		_, _, err := fetch(r.Blob(fake.AddBlob("app", alphabet)), 0, 4)
		wantIs(t, err, context.DeadlineExceeded)
	}
	if n := fake.Count("", "/blobs/"); n != asked {
		t.Errorf("%d more requests to a host that is down", n-asked)
	}
}

// One blob that stalls is no sign that the host is down while it answers others.
func TestStallIsNotDown(t *testing.T) {
	t.Parallel()
	fake := fakeregistry.New()
	slow, quick := fake.AddBlob("app", []byte("slow")), fake.AddBlob("app", []byte("quick"))
	fake.Inject(fakeregistry.Fault{Path: slow.Digest.String(), Stall: true})
	r := repo(t, fake, Options{Timeout: answerTimeout})
	failed := make(chan error)
	go func() {
		_, _, err := fetch(r.Blob(slow), 0, 4)
		failed <- err
	}()
	waitFor(fake, "/blobs/", 1)
	for {
		select {
		case err := <-failed:
			wantIs(t, err, context.DeadlineExceeded)
			// A probe would be waited for.
			if _, _, err := fetch(r.Blob(quick), 0, 5); err != nil {
				t.Fatalf("another blob: %v", err)
			}
			if n := fake.Count("", "/v2/"); n != fake.Count("", "/blobs/") {
				t.Error("it was probed")
			}
			return
		default:
		}
		if _, _, err := fetch(r.Blob(quick), 0, 5); err != nil {
			t.Fatalf("another blob: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Where the one request under way is silent the host is taken to be down, and
// nobody notices if it isn't.
func TestDownForOneProbe(t *testing.T) {
	t.Parallel()
	fake := fakeregistry.New()
	slow, quick := fake.AddBlob("app", []byte("slow")), fake.AddBlob("app", []byte("quick"))
	fake.Inject(fakeregistry.Fault{Path: slow.Digest.String(), Stall: true})
	r := repo(t, fake, Options{Timeout: answerTimeout})
	r.registry.hosts.firstProbe = answerTimeout
	_, _, err := fetch(r.Blob(slow), 0, 4)
	wantIs(t, err, context.DeadlineExceeded)
	if got, _, err := fetch(r.Blob(quick), 0, 5); got != "quick" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if n := fake.Count("", ""); n != fake.Count("", "/blobs/")+1 {
		t.Errorf("%d requests, want one probe among them", n)
	}
}

// Neither a caller that leaves nor a wrong certificate makes a host one that is
// down.
func TestNotDown(t *testing.T) {
	fake := fakeregistry.New()
	fake.AddArtifact("app", "v1", "", nil)
	r := repo(t, fake, Options{})
	if _, err := r.Resolve(t.Context(), "v1"); err != nil {
		t.Fatal(err)
	}
	fake.Inject(fakeregistry.Fault{Stall: true})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := r.Resolve(ctx, "v1")
	wantIs(t, err, context.DeadlineExceeded)
	if !hostOf(r).plain() {
		t.Error("it is down because the caller had no time")
	}
	host, _ := tlsServer(t, fake)
	secure := repoOf(t, dial(t, host, Options{CAFile: strangersCA(t)}), "app")
	if _, err := secure.Resolve(t.Context(), "v1"); err == nil || !hostOf(secure).plain() {
		t.Errorf("a certificate that isn't trusted: error %v", err)
	}
}

// Probes end with the registry, and it isn't down any more.
func TestClose(t *testing.T) {
	fake := fakeregistry.New()
	server := httptest.NewServer(fake)
	r := repoOf(t, dial(t, server.Listener.Addr().String(), Options{}), "app")
	server.Close()
	if err := r.registry.Ping(t.Context()); err == nil {
		t.Fatal("no error")
	}
	if hostOf(r).plain() {
		t.Error("it isn't down")
	}
	if err := errors.Join(r.registry.Close(), r.registry.Close()); err != nil {
		t.Error(err)
	}
	if !hostOf(r).plain() {
		t.Error("it is down after Close")
	}
	if err := r.registry.Ping(t.Context()); err == nil || !hostOf(r).plain() {
		t.Errorf("error %v", err)
	}
}
