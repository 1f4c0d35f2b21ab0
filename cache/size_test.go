package cache

import (
	"errors"
	"testing"
)

func TestEmptyBlobHasADigestToo(t *testing.T) {
	c := open(t, Options{})
	if _, err := readAll(t, c, newSource(nil).key(), newSource(nil), 10); err != nil {
		t.Error(err)
	}
	k := newSource([]byte("x")).key()
	k.Size = 0
	if _, err := readAll(t, c, k, newSource(nil), 10); !errors.Is(err, ErrDigest) {
		t.Errorf("got %v", err)
	}
}

// The descriptor's size may lie in either direction.
func TestWrongSize(t *testing.T) {
	for _, size := range []int{100, largeSize} {
		content := random(size, 28)
		k := newSource(content).key()
		k.Size -= 3
		s := newSource(content)
		c := open(t, Options{Dir: t.TempDir()})
		if _, err := readAll(t, c, k, s, 1<<20); !errors.Is(err, ErrDigest) {
			t.Errorf("size %d, too small: %v", size, err)
		}
		k.Size += 10
		if _, err := readAll(t, c, k, s, 1<<20); err == nil {
			t.Errorf("size %d, too large: no error", size)
		}
		// With the right one on disk, the wrong ones stay wrong.
		mustRead(t, c, s.key(), s, content)
		if _, err := readAll(t, c, k, s, 1<<20); err == nil {
			t.Errorf("size %d, too large, and on disk: no error", size)
		}
		mustRead(t, c, s.key(), newSource(nil), content)
	}
}
