package cache

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
)

// A choosing is a Fetcher with a source that lies, and one that it turns to.
type choosing struct {
	liar, honest *source
	passed       atomic.Int32
}

func (c *choosing) Fetch(ctx context.Context, off, n int64, wanted <-chan struct{}) (io.ReadCloser, bool, error) {
	if c.passed.Load() > 0 {
		return c.honest.Fetch(ctx, off, n, wanted)
	}
	return c.liar.Fetch(ctx, off, n, wanted)
}

func (c *choosing) PassOver() { c.passed.Add(1) }

func newChoosing(content []byte, at int) (*choosing, Key) {
	liar, k := lying(content, at)
	return &choosing{liar: liar, honest: newSource(content)}, k
}

// Who reads a blob that is wrong sees an error, and who reads it again has it from
// another source.
func TestAnotherSourceIsAskedAfterAWrongOne(t *testing.T) {
	content := random(largeSize, 111)
	f, k := newChoosing(content, largeSize-1)
	c := open(t, Options{Dir: t.TempDir()})
	if _, err := readAll(t, c, k, f, 1<<20); !errors.Is(err, ErrDigest) {
		t.Fatalf("the lie: %v", err)
	}
	if n := f.passed.Load(); n != 1 {
		t.Errorf("the source was passed over %d times", n)
	}
	mustRead(t, c, k, f, content)
}

// What one doubts is compared with what another source has.
func TestDoubtedBytesAreComparedWithAnotherSources(t *testing.T) {
	content := random(largeSize, 112)
	f, k := newChoosing(content, 2*ChunkSize+lieAt)
	c := open(t, Options{Dir: t.TempDir()})
	r := checkedReader(t, c, k, f)
	if _, err := r.ReadAt(t.Context(), make([]byte, ChunkSize), 2*ChunkSize); err != nil {
		t.Fatal(err)
	}
	if err := r.Doubt(t.Context(), 2*ChunkSize, ChunkSize); !errors.Is(err, ErrDigest) {
		t.Fatalf("the doubt: %v", err)
	}
	mustRead(t, c, k, f, content)
}
