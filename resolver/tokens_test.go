package resolver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

func TestTokensAreReused(t *testing.T) {
	fake := fakeregistry.New()
	fake.RequireBearer("alice", "secret", "", false)
	desc := fake.AddArtifact("app", "v1", "", nil)
	r := repo(t, fake, Options{Username: "alice", Password: "secret"})
	for range 3 {
		if _, err := r.Resolve(t.Context(), "v1"); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Manifest(t.Context(), desc.Digest); err != nil {
			t.Fatal(err)
		}
		if _, err := r.BlobSize(t.Context(), "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"); err != nil {
			t.Fatal(err)
		}
		if err := r.Tags(t.Context(), func([]string) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if n := fake.Count("", "/token"); n != 1 {
		t.Errorf("%d tokens for one repository, want 1", n)
	}
}

// Of two readers that wait for one token the first is interrupted: the second
// gets one all the same.
func TestTokenWhoseFirstCallerLeaves(t *testing.T) {
	fake := fakeregistry.New()
	fake.RequireBearer("alice", "secret", "", false)
	fake.AddArtifact("app", "v1", "", nil)
	fake.Inject(fakeregistry.Fault{Path: "/token", Stall: true, Times: 1})
	r := repo(t, fake, Options{Username: "alice", Password: "secret"})

	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan error), make(chan error)
	go func() {
		_, err := r.Resolve(ctx, "v1")
		first <- err
	}()
	waitFor(fake, "/token", 1)
	go func() {
		_, err := r.Resolve(t.Context(), "v1")
		second <- err
	}()
	waitFor(fake, "/manifests/", 2)
	cancel()
	wantIs(t, <-first, context.Canceled)
	if err := <-second; err != nil {
		t.Errorf("the caller that stayed: %v", err)
	}
}

// waitFor returns once so many requests have come.
func waitFor(fake *fakeregistry.Registry, path string, n int) {
	for fake.Count("", path) < n {
		time.Sleep(time.Millisecond)
	}
}

func TestTokenCacheFailures(t *testing.T) {
	cache := newTokenCache()
	failure := errors.New("failure")
	if _, err := cache.Set(t.Context(), "host", auth.SchemeBearer, "key", func(context.Context) (string, error) {
		return "", failure
	}); !errors.Is(err, failure) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := cache.Set(ctx, "host", auth.SchemeBearer, "key", func(context.Context) (string, error) {
		cancel()
		return "", fmt.Errorf("wrapped: %w", ctx.Err())
	}); err != context.Canceled { //nolint:errorlint // as oras-go compares it
		t.Errorf("error %v, want context.Canceled itself", err)
	}
}

func TestTokenCacheIsBounded(t *testing.T) {
	cache := newTokenCache()
	var all sync.WaitGroup
	for i := range maxTokens {
		all.Go(func() {
			_, err := cache.Set(t.Context(), "host", auth.SchemeBearer, fmt.Sprint(i), func(context.Context) (string, error) {
				return "token", nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	kept := 0
	for i := range maxTokens {
		if _, err := cache.GetToken(t.Context(), "host", auth.SchemeBearer, fmt.Sprint(i)); err == nil {
			kept++
		}
	}
	if kept >= maxTokens {
		t.Errorf("%d tokens are kept", kept)
	}
}
