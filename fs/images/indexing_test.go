package images

import (
	"sync"
	"testing"
	"time"
)

// A layer that is being indexed is told, with how far it has come, until it is open.
func TestIndexing(t *testing.T) {
	w := newWorkplace(t, 0)
	b := newBlob(large(t, 8))
	b.let(5<<20, nil)
	m := w.image("app", b)
	var opening sync.WaitGroup
	opening.Go(func() {
		if _, err := m.Tree(t.Context()); err != nil {
			t.Error(err)
		}
	})
	var now []Indexing
	for len(now) == 0 || now[0].Reached == 0 {
		time.Sleep(time.Millisecond)
		now = m.images.Indexing()
	}
	if i := now[0]; len(now) != 1 || i.Digest == "" || i.Size != int64(len(b.data)) || i.Since.IsZero() || i.Entries == 0 || i.Reached > 5<<20 {
		t.Errorf("indexed: %+v", now)
	}
	b.let(len(b.data), nil)
	opening.Wait()
	if now = m.images.Indexing(); len(now) != 0 {
		t.Errorf("indexed still: %+v", now)
	}
}
