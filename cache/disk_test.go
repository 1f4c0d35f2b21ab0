package cache

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// files are the regular files below the cache's directory.
func files(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			all = append(all, path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// diskUse is how many bytes a cache takes on disk, as du tells it.
func diskUse(t testing.TB, c *Cache) int64 {
	t.Helper()
	if c.disk == nil {
		return 0
	}
	var total int64
	for _, path := range files(t, c.disk.root) {
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		total += blocks(info)
	}
	return total
}

func flipByte(t testing.TB, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	_, err = f.ReadAt(b[:], at)
	b[0] ^= 0x40
	if err == nil {
		_, err = f.WriteAt(b[:], at)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// filled is a cache directory that holds a small blob, a complete large one, a
// partial one and a document, and the sources of the blobs.
func filled(t *testing.T) (dir string, sources []*source, document []byte) {
	t.Helper()
	dir = t.TempDir()
	c := open(t, Options{Dir: dir})
	small, large, partial := newSource(random(1000, 30)), newSource(random(largeSize, 31)), newSource(random(largeSize, 32))
	mustRead(t, c, small.key(), small, small.content)
	mustRead(t, c, large.key(), large, large.content)
	for _, off := range []int64{0, 1 << 20, 5 << 20} {
		if _, err := readPart(t, c, partial.key(), partial, off, 100); err != nil {
			t.Fatal(err)
		}
	}
	document = []byte(`{"schemaVersion":2}`)
	mustHaveDocument(t, c, document)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, []*source{small, large, partial}, document
}

// checkFilled reads all that filled wrote and finds it right.
func checkFilled(t *testing.T, c *Cache, sources []*source, document []byte) {
	t.Helper()
	for _, s := range sources {
		got, err := readAll(t, c, s.key(), s, 1<<20)
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(got, s.content) {
			t.Error("wrong content")
		}
	}
	mustHaveDocument(t, c, document)
}

func TestWhatIsOnDisk(t *testing.T) {
	dir, sources, _ := filled(t)
	var got []string
	for _, path := range files(t, dir) {
		name := strings.TrimPrefix(path, dir+"/")
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
		got = append(got, name)
	}
	for _, want := range []string{
		"v1/blobs/sha256/" + sources[0].key().Digest.Encoded(),
		"v1/blobs/sha256/" + sources[1].key().Digest.Encoded(),
		"v1/blobs/sha256/" + sources[1].key().Digest.Encoded() + ".sums",
		"v1/partial/sha256-" + sources[2].key().Digest.Encoded() + ".",
		"v1/manifests/sha256/",
	} {
		if !strings.Contains(strings.Join(got, "\n"), want) {
			t.Errorf("there is no %s in\n%s", want, strings.Join(got, "\n"))
		}
	}
	if len(got) != 6 {
		t.Errorf("there is more than that in\n%s", strings.Join(got, "\n"))
	}
	blob, err := os.ReadFile(filepath.Join(dir, "v1/blobs/sha256", sources[1].key().Digest.Encoded()))
	if err != nil {
		t.Fatal(err)
	}
	mustEqual(t, blob, sources[1].content)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || path == dir {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm() != 0o700 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Every kind of damage to every file costs fetches at most.
func TestDamagedFilesNeverServeAWrongByte(t *testing.T) {
	damages := map[string]func(t *testing.T, path string, info fs.FileInfo){
		"first byte": func(t *testing.T, path string, _ fs.FileInfo) { flipByte(t, path, 0) },
		"middle":     func(t *testing.T, path string, info fs.FileInfo) { flipByte(t, path, info.Size()/2) },
		"last byte":  func(t *testing.T, path string, info fs.FileInfo) { flipByte(t, path, info.Size()-1) },
		"short":      func(t *testing.T, path string, info fs.FileInfo) { truncate(t, path, info.Size()-1) },
		"half":       func(t *testing.T, path string, info fs.FileInfo) { truncate(t, path, info.Size()/2) },
		"empty":      func(t *testing.T, path string, _ fs.FileInfo) { truncate(t, path, 0) },
		"longer":     func(t *testing.T, path string, info fs.FileInfo) { truncate(t, path, info.Size()+100) },
		"missing": func(t *testing.T, path string, _ fs.FileInfo) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
		"zeros": func(t *testing.T, path string, info fs.FileInfo) {
			truncate(t, path, 0)
			truncate(t, path, info.Size())
		},
		"directory": func(t *testing.T, path string, _ fs.FileInfo) {
			if err := errors.Join(os.Remove(path), os.MkdirAll(filepath.Join(path, "x"), 0o700)); err != nil {
				t.Fatal(err)
			}
		},
		"pipe": func(t *testing.T, path string, _ fs.FileInfo) {
			if err := errors.Join(os.Remove(path), unix.Mkfifo(path, 0o600)); err != nil {
				t.Fatal(err)
			}
		},
	}
	dir, sources, document := filled(t)
	for name, damage := range damages {
		for i := range files(t, dir) {
			t.Run(name+"/"+string(rune('0'+i)), func(t *testing.T) {
				copied := t.TempDir()
				if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
					t.Fatal(err)
				}
				path := files(t, copied)[i]
				info, err := os.Lstat(path)
				if err != nil {
					t.Fatal(err)
				}
				damage(t, path, info)
				checkFilled(t, open(t, Options{Dir: copied}), sources, document)
			})
		}
	}
}

func truncate(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedWhileOpen(t *testing.T) {
	s := newSource(random(largeSize, 33))
	c := open(t, Options{Dir: t.TempDir(), Memory: 1 << 20})
	mustRead(t, c, s.key(), s, s.content)
	settled(c)
	before, _ := s.bytesSent()
	flipByte(t, c.disk.blob(s.key().Digest), 5<<20)
	mustRead(t, c, s.key(), s, s.content)
	mustRead(t, c, s.key(), s, s.content)
	if after, _ := s.bytesSent(); after-before != ChunkSize {
		t.Errorf("%d bytes were fetched for one damaged chunk, which is repaired then", after-before)
	}
	if n := c.Stats().WrongOnDisk; n != 1 {
		t.Errorf("%d damages were counted", n)
	}
}

func TestGarbageInTheDirectory(t *testing.T) {
	dir, sources, document := filled(t)
	for name, content := range map[string]string{
		"v1/blobs/readme":                   "x",
		"v1/blobs/sha256/not-a-digest":      "x",
		"v1/blobs/sha256/not-a-digest.sums": "x",
		"v1/partial/x":                      "x",
		"v1/partial/x.journal":              "x",
		"v1/partial/.journal":               "x",
		"v1/partial/a.b.c.data":             "x",
		"v1/manifests/sha512":               "x",
		"v2/future":                         "x",
		"elsewhere":                         "x",
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	c := open(t, Options{Dir: dir})
	checkFilled(t, c, sources, document)
	for _, s := range sources[:2] {
		if s.fetches() == 0 {
			t.Error("it was never fetched")
		}
	}
}

func TestTwoCachesOnOneDirectory(t *testing.T) {
	s := newSource(random(largeSize, 34))
	dir := t.TempDir()
	one, two := open(t, Options{Dir: dir, Memory: 1 << 20}), open(t, Options{Dir: dir, Memory: 1 << 20})
	r1, done1 := reader(t, one, s.key(), s)
	r2, done2 := reader(t, two, s.key(), s)
	p := make([]byte, 100_000)
	for off := int64(0); off < largeSize; off += int64(len(p)) {
		for _, r := range []*Reader{r1, r2} {
			n, err := r.ReadAt(t.Context(), p, off)
			if err != nil && off+int64(n) != largeSize {
				t.Fatal(err)
			}
			mustEqual(t, p[:n], s.content[off:][:n])
		}
	}
	settled(one)
	settled(two)
	// Both have what they need although the later one has replaced the first's.
	for _, r := range []*Reader{r1, r2} {
		if _, err := r.ReadAt(t.Context(), p, 4<<20); err != nil {
			t.Fatal(err)
		}
		mustEqual(t, p, s.content[4<<20:][:len(p)])
	}
	done1()
	done2()
	if left := files(t, filepath.Join(dir, "v1/partial")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	nobody := newSource(nil)
	mustRead(t, open(t, Options{Dir: dir}), s.key(), nobody, s.content)
	mustRead(t, two, s.key(), nobody, s.content)
}

// A partial that somebody else fills isn't touched: one of one's own is
// filled, and gone when it is closed.
func TestPrivatePartialGoes(t *testing.T) {
	s := newSource(random(largeSize, 35))
	dir := t.TempDir()
	one, two := open(t, Options{Dir: dir}), open(t, Options{Dir: dir})
	r1, _ := reader(t, one, s.key(), s)
	r2, done2 := reader(t, two, s.key(), s)
	for _, r := range []*Reader{r1, r2} {
		if _, err := r.ReadAt(t.Context(), make([]byte, 10), 0); err != nil {
			t.Fatal(err)
		}
	}
	settled(one)
	settled(two)
	if n := len(files(t, filepath.Join(dir, "v1/partial"))); n != 4 {
		t.Errorf("two partials are %d files", n)
	}
	done2()
	if n := len(files(t, filepath.Join(dir, "v1/partial"))); n != 2 {
		t.Errorf("when one is closed %d files are left", n)
	}
}

func TestUnusableDirectoryIsSaid(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "sub"), "/proc/orasfs-cache"} {
		_, err := Open(Options{Dir: dir})
		if err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// smallDisk is a directory on a file system of the given size.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a small file system can't be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestFullDisk(t *testing.T) {
	for name, fill := range map[string]int{"some room": 0, "no room": 8 << 20} {
		t.Run(name, func(t *testing.T) {
			dir := smallDisk(t, "8m")
			if fill > 0 {
				// As much as fits, so that the cache has nothing.
				if err := os.WriteFile(filepath.Join(dir, "others"), make([]byte, fill-200_000), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			small, large := newSource(random(100_000, 36)), newSource(random(20<<20, 37))
			c := open(t, Options{Dir: dir, Memory: 1 << 20})
			for range 2 {
				mustRead(t, c, large.key(), large, large.content)
				mustRead(t, c, small.key(), small, small.content)
				mustHaveDocument(t, c, []byte("{}"))
			}
			settled(c)
			if fill == 0 {
				if size, free := c.disk.space(); free < size/keepFree {
					t.Errorf("%d of %d bytes are left free", free, size)
				}
				if c.Stats().DiskBytes == 0 {
					t.Error("the room there was isn't used")
				}
			}
		})
	}
}

// A directory that goes away, or can't be written any more, costs fetches.
func TestDiskThatFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	s := newSource(random(largeSize, 38))
	c := open(t, Options{Dir: dir, Memory: 1 << 20})
	if _, err := readPart(t, c, s.key(), s, 0, 10); err != nil {
		t.Fatal(err)
	}
	settled(c)
	if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	mustRead(t, c, s.key(), s, s.content)
	small := newSource(random(100, 39))
	mustRead(t, c, small.key(), small, small.content)
	mustHaveDocument(t, c, []byte("{}"))
}

// What dead processes left is swept up; what may be in the making isn't.
func TestLeftoversAreSwept(t *testing.T) {
	dir := t.TempDir()
	if err := open(t, Options{Dir: dir}).Close(); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * sweepAfter)
	left := map[string]bool{ // and whether it goes
		"tmp/.x123":                    true,
		"partial/sha256-a.o.data":      true, // without its journal
		"blobs/sha256/b.sums":          true, // without its data
		"partial/sha256-c.o.R.data":    true, // a dead process's own
		"partial/sha256-c.o.R.journal": true,
		"partial/sha256-d.o.data":      false,
		"partial/sha256-d.o.journal":   false,
	}
	for name := range left {
		path := filepath.Join(dir, "v1", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("x"), 0o600), os.Chtimes(path, old, old)); err != nil {
			t.Fatal(err)
		}
	}
	fresh := filepath.Join(dir, "v1/partial/sha256-e.o.data")
	if err := os.WriteFile(fresh, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	left["partial/sha256-e.o.data"] = false
	open(t, Options{Dir: dir})
	for name, goes := range left {
		_, err := os.Lstat(filepath.Join(dir, "v1", name))
		if gone := errors.Is(err, fs.ErrNotExist); gone != goes {
			t.Errorf("%s: gone is %v, want %v", name, gone, goes)
		}
	}
}
