package cache

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"
)

func mustHaveDocument(t testing.TB, c *Cache, content []byte) {
	t.Helper()
	got, err := c.Document(t.Context(), "registry.example", digest.FromBytes(content), func(context.Context) ([]byte, error) { return content, nil })
	if err != nil {
		t.Fatal(err)
	}
	mustEqual(t, got, content)
}

func noFetch(context.Context) ([]byte, error) { return nil, errors.New("fetched") }

func TestDocumentIsFetchedOnce(t *testing.T) {
	content := []byte(`{"schemaVersion":2}`)
	d := digest.FromBytes(content)
	for _, dir := range []string{"", t.TempDir()} {
		c := open(t, Options{Dir: dir})
		if _, ok := c.CachedDocument(d); ok {
			t.Error("a document from nowhere")
		}
		var fetches atomic.Int32
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				got, err := c.Document(t.Context(), "registry.example", d, func(context.Context) ([]byte, error) {
					fetches.Add(1)
					return content, nil
				})
				if err != nil || !bytes.Equal(got, content) {
					t.Errorf("got %q, %v", got, err)
				}
				clear(got) // it is the caller's
			})
		}
		all.Wait()
		if fetches.Load() != 1 {
			t.Errorf("%d fetches", fetches.Load())
		}
		if got, ok := c.CachedDocument(d); !ok || !bytes.Equal(got, content) {
			t.Errorf("cached: %q, %v", got, ok)
		}
		if dir == "" {
			continue
		}
		shut(t, c)
		c = open(t, Options{Dir: dir})
		if got, err := c.Document(t.Context(), "registry.example", d, noFetch); err != nil || !bytes.Equal(got, content) {
			t.Errorf("after a restart: %q, %v", got, err)
		}
	}
}

func TestWrongDocument(t *testing.T) {
	c := open(t, Options{Dir: t.TempDir()})
	d := digest.FromString("right")
	fetch := func(s string, err error) func(context.Context) ([]byte, error) {
		return func(context.Context) ([]byte, error) { return []byte(s), err }
	}
	if _, err := c.Document(t.Context(), "registry.example", d, fetch("wrong", nil)); !errors.Is(err, ErrDigest) {
		t.Errorf("wrong content: %v", err)
	}
	refused := errors.New("refused")
	if _, err := c.Document(t.Context(), "registry.example", d, fetch("right", refused)); !errors.Is(err, refused) {
		t.Errorf("refused: %v", err)
	}
	if _, ok := c.CachedDocument(d); ok {
		t.Error("something was kept")
	}
	big := random(SmallBlob+1, 40)
	_, err := c.Document(t.Context(), "registry.example", digest.FromBytes(big), func(context.Context) ([]byte, error) { return big, nil })
	if err == nil {
		t.Error("a document of more than 4 MiB")
	}
	if _, err := c.Document(t.Context(), "registry.example", "sha256:x", fetch("x", nil)); err == nil {
		t.Error("a digest that isn't one")
	}
	if got, err := c.Document(t.Context(), "registry.example", d, fetch("right", nil)); err != nil || string(got) != "right" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestInterruptedDocument(t *testing.T) {
	c := open(t, Options{})
	d := digest.FromString("x")
	asked, proceed := make(chan struct{}), make(chan struct{})
	fetch := func(ctx context.Context) ([]byte, error) {
		close(asked)
		select {
		case <-proceed:
			return []byte("x"), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	ctx, interrupt := context.WithCancel(t.Context())
	first := make(chan error)
	go func() {
		_, err := c.Document(ctx, "registry.example", d, fetch)
		first <- err
	}()
	<-asked
	interrupt()
	if err := <-first; err != context.Canceled { //nolint:errorlint // it must be the same
		t.Errorf("got %v", err)
	}
	close(proceed)
	if got, err := c.Document(t.Context(), "registry.example", d, noFetch); err != nil || string(got) != "x" {
		t.Errorf("the other one got %q, %v", got, err)
	}
}
