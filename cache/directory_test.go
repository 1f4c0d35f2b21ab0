package cache

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

func openDirectory(t *testing.T, dir string) *Directory {
	t.Helper()
	d, err := OpenDirectory(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestHoldings(t *testing.T) {
	dir, sources, document := filled(t)
	c := open(t, Options{Dir: dir})
	if !c.PutIndex("a-b", []byte("what was found out")) {
		t.Fatal("the index isn't kept")
	}
	want := map[digest.Digest]Holding{
		sources[0].key().Digest:    {Size: 1000},
		sources[1].key().Digest:    {Size: SmallBlob + 3*ChunkSize/2},
		sources[2].key().Digest:    {Size: SmallBlob + 3*ChunkSize/2, Partial: true},
		digest.FromBytes(document): {Size: int64(len(document))},
		"":                         {Size: -1},
	}
	d := openDirectory(t, dir)
	var bytes int64
	for h := range d.Holdings() {
		expected, ok := want[h.Digest]
		if !ok || h.Size != expected.Size || h.Partial != expected.Partial || h.Bytes <= 0 || time.Since(h.Used) > time.Hour {
			t.Errorf("it holds %+v", h)
		}
		delete(want, h.Digest)
		bytes += h.Bytes
	}
	if len(want) > 0 {
		t.Errorf("it doesn't hold %v", want)
	}
	if use := diskUse(t, c); bytes != use {
		t.Errorf("it takes %d bytes, not %d", use, bytes)
	}
	for name, content := range d.Indexes("a-") {
		if name != "a-b" || string(content) != "what was found out" {
			t.Errorf("the index %s is %q", name, content)
		}
	}
	if _, err := OpenDirectory(t.TempDir(), nil); !os.IsNotExist(err) && !strings.Contains(err.Error(), "no cache") {
		t.Errorf("a directory without a cache: %v", err)
	}
}

func pruned(t *testing.T, d *Directory, to Bound) Pruned {
	t.Helper()
	p, err := d.Prune(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPrune(t *testing.T) {
	dir, sources, _ := filled(t)
	d := openDirectory(t, dir)
	// The large one was used long ago, all others now.
	old := time.Now().Add(-48 * time.Hour)
	sums := filepath.Join(d.disk.blob(sources[1].key().Digest), sumsName)
	if err := os.Chtimes(sums, old, old); err != nil {
		t.Fatal(err)
	}
	if p := pruned(t, d, Bound{Bytes: 1 << 40, Age: 72 * time.Hour}); p.Removed != 0 || p.Left == 0 {
		t.Errorf("within its bound: %+v", p)
	}
	if p := pruned(t, d, Bound{Bytes: -1, Age: 24 * time.Hour}); p.Removed != 1 || p.Bytes < SmallBlob {
		t.Errorf("by age: %+v", p)
	}
	if isThere(d.disk.blob(sources[1].key().Digest)) {
		t.Error("what is too old is there")
	}
	left := len(slices.Collect(d.Holdings()))
	if p := pruned(t, d, Bound{Bytes: 0}); p.Removed != left || p.Left != 0 || d.disk.usage.now() > 0 {
		t.Errorf("all of %d: %+v, %d bytes are counted", left, p, d.disk.usage.now())
	}
	if n := len(slices.Collect(d.Holdings())); n != 0 {
		t.Errorf("%d are left", n)
	}
}

// What a mount has open stays, whatever the bound.
func TestPruneWhatIsOpen(t *testing.T) {
	dir, sources, document := filled(t)
	c := open(t, Options{Dir: dir})
	r, done := reader(t, c, sources[1].key(), sources[1])
	p := make([]byte, 100)
	if _, err := r.ReadAt(t.Context(), p, 4<<20); err != nil {
		t.Fatal(err)
	}
	d := openDirectory(t, dir)
	if p := pruned(t, d, Bound{Bytes: 0}); p.InUse != 1 || p.Left == 0 {
		t.Errorf("%+v", p)
	}
	if _, err := r.ReadAt(t.Context(), p, 0); err != nil {
		t.Error(err)
	}
	done()
	checkFilled(t, c, sources, document)
}

// Everything that is damaged is found and is gone; what is right stays.
func TestVerifyDirectory(t *testing.T) {
	dir, sources, document := filled(t)
	c := open(t, Options{Dir: dir})
	c.PutIndex("an-index", []byte("what was found out"))
	d := openDirectory(t, dir)
	var seen int64
	verify := func() (wrong []Damage) {
		t.Helper()
		seen = 0
		if err := d.Verify(t.Context(), func(n int64) { seen += n }, func(w Damage) { wrong = append(wrong, w) }); err != nil {
			t.Fatal(err)
		}
		return wrong
	}
	if wrong := verify(); len(wrong) != 0 || seen < SmallBlob {
		t.Errorf("of what is right %v is wrong; %d bytes were looked at", wrong, seen)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range files(t, dir) {
		if filepath.Base(path) == "used" {
			continue
		}
		t.Run(filepath.Base(filepath.Dir(path))+"/"+filepath.Base(path), func(t *testing.T) {
			info, err := os.Lstat(path)
			if os.IsNotExist(err) {
				return // it went with what was beside it
			}
			at := info.Size() / 2
			switch name := filepath.Base(path); {
			case strings.Contains(path, "partial") && name == dataName:
				at = 1<<20 + 10 // of a chunk that is there
			case strings.Contains(path, "partial"):
				at = 20 // of the header: a slot that isn't right is a chunk that isn't there
			}
			flipByte(t, path, at)
			wrong := verify()
			if len(wrong) != 1 || !wrong[0].Removed {
				t.Fatalf("%v is wrong", wrong)
			}
			if again := verify(); len(again) != 0 {
				t.Errorf("%v is wrong after that", again)
			}
		})
	}
	checkFilled(t, open(t, Options{Dir: dir}), sources, document)
}

// A damage of what a mount has open is told, and left to the mount.
func TestVerifyWhatIsOpen(t *testing.T) {
	dir, sources, _ := filled(t)
	c := open(t, Options{Dir: dir})
	r, done := reader(t, c, sources[1].key(), sources[1])
	defer done()
	if _, err := r.ReadAt(t.Context(), make([]byte, 100), 0); err != nil {
		t.Fatal(err)
	}
	d := openDirectory(t, dir)
	flipByte(t, filepath.Join(d.disk.blob(sources[1].key().Digest), dataName), 4<<20)
	var wrong []Damage
	if err := d.Verify(t.Context(), func(int64) {}, func(w Damage) { wrong = append(wrong, w) }); err != nil {
		t.Fatal(err)
	}
	if len(wrong) != 1 || wrong[0].Removed || wrong[0].Holding.Digest != sources[1].key().Digest {
		t.Errorf("%v is wrong", wrong)
	}
	var exists fs.FileInfo
	if exists, _ = os.Lstat(d.disk.blob(sources[1].key().Digest)); exists == nil {
		t.Error("what is open was removed")
	}
}
