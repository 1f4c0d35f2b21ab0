package cache

import (
	"errors"
	"testing"
)

// TestLocalContentIsNotOnDisk reads blobs of this machine, right and wrong, small
// and large: they are verified, and nothing of them is written.
func TestLocalContentIsNotOnDisk(t *testing.T) {
	c := open(t, Options{Dir: t.TempDir(), Memory: 16 << 20})
	for _, size := range []int{1000, largeSize} {
		content := random(size, 50)
		good := newSource(content)
		k := good.key()
		k.Local = true
		for _, order := range orders {
			if err := readInOrder(t, c, k, good, order, false); err != nil {
				t.Error(err)
			}
		}
		mustRead(t, c, k, good, content)
		bad, wrong := lying(content, size-1)
		wrong.Local, wrong.Origin = true, "/elsewhere"
		if _, err := readAll(t, c, wrong, bad, 1<<20); !errors.Is(err, ErrDigest) {
			t.Errorf("wrong content gives %v", err)
		}
		settled(c)
		if use := diskUse(t, c); use != 0 {
			t.Errorf("%d bytes of a local blob are on disk", use)
		}
	}
}
