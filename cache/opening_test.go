package cache

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/test/soak"
)

// Opening a blob costs the same whatever its size.
func TestOpeningALargeBlobCostsNothing(t *testing.T) {
	c := open(t, Options{Dir: t.TempDir()})
	cost := make(map[int64]uint64)
	calls := make(map[int64]float64)
	sizes := []int64{SmallBlob + 1, 200 << 30}
	for _, size := range sizes {
		k := Key{Origin: "registry.example", Digest: digest.FromString(fmt.Sprint(size)), Size: size}
		path := c.disk.blob(k.Digest)
		data := filepath.Join(path, dataName)
		if err := errors.Join(os.MkdirAll(path, 0o700), os.WriteFile(data, nil, 0o600), os.Truncate(data, size),
			os.WriteFile(filepath.Join(path, sumsName), sumsHeader(k.Digest, size), 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(filepath.Join(path, sumsName), slotOffset(grid{size}.chunks())); err != nil {
			t.Fatal(err)
		}
		look := func() {
			b, err := c.Blob(k, newSource(nil))
			if err != nil {
				t.Fatal(err)
			}
			r := b.Reader()
			if err := b.Look(t.Context()); err != nil || !b.Verified() || b.File() == nil {
				t.Fatalf("it isn't there: %v", err)
			}
			if got, ok := c.CachedSize(k.Digest); !ok || got != size {
				t.Fatalf("its size is %d", got)
			}
			if err := errors.Join(r.Close(), b.Close()); err != nil {
				t.Fatal(err)
			}
			settled(c)
		}
		calls[size] = testing.AllocsPerRun(50, look)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 50 {
			look()
		}
		runtime.ReadMemStats(&after)
		cost[size] = (after.TotalAlloc - before.TotalAlloc) / 50
	}
	small, large := sizes[0], sizes[1]
	if calls[large] > calls[small]+20 || cost[large] > cost[small]+16<<10 {
		t.Errorf("opening it takes %v allocations of %d bytes, and a small one %v of %d", calls[large], cost[large], calls[small], cost[small])
	}
}

// Whoever opens a blob at any moment of another's finishing it leaves the finished
// one alone.
func TestOpeningWhileItIsFinished(t *testing.T) {
	content := random(SmallBlob+1000, 95)
	k := newSource(content).key()
	for round := range soak.Size(6, 30) {
		dir := t.TempDir()
		one, two := open(t, Options{Dir: dir}), open(t, Options{Dir: dir})
		stop := make(chan struct{})
		var others sync.WaitGroup
		for range 4 {
			others.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					b, err := two.Blob(k, newSource(content))
					if err == nil {
						err = errors.Join(b.Look(t.Context()), b.Close())
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		mustRead(t, one, k, newSource(content), content)
		settled(one)
		close(stop)
		others.Wait()
		settled(two)
		on, err := os.ReadFile(filepath.Join(one.disk.blob(k.Digest), dataName))
		if err != nil {
			t.Fatalf("round %d: it isn't finished: %v", round, err)
		}
		mustEqual(t, on, content)
		nobody := newSource(nil)
		mustRead(t, open(t, Options{Dir: dir}), k, nobody, content)
		mustRead(t, two, k, nobody, content)
		if left := onDisk(t, one.disk); len(left) != 1 {
			t.Errorf("round %d: left are %v", round, keys(left))
		}
		if err := errors.Join(one.Close(), two.Close()); err != nil {
			t.Fatal(err)
		}
	}
}
