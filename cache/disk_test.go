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

	"github.com/opencontainers/go-digest"
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
		if filepath.Base(path) == "used" {
			continue // it is the directory's own
		}
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
		"v2/blobs/sha256/" + sources[0].key().Digest.Encoded(),
		"v2/blobs/sha256/" + sources[1].key().Digest.Encoded() + "/data",
		"v2/blobs/sha256/" + sources[1].key().Digest.Encoded() + "/sums",
		"v2/partial/sha256-" + sources[2].key().Digest.Encoded() + ".",
		"v2/blobs/sha256/" + digest.FromString(`{"schemaVersion":2}`).Encoded(),
		"v2/used",
	} {
		if !strings.Contains(strings.Join(got, "\n"), want) {
			t.Errorf("there is no %s in\n%s", want, strings.Join(got, "\n"))
		}
	}
	if len(got) != 7 {
		t.Errorf("there is more than that in\n%s", strings.Join(got, "\n"))
	}
	blob, err := os.ReadFile(filepath.Join(dir, "v2/blobs/sha256", sources[1].key().Digest.Encoded(), dataName))
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
	if left := files(t, filepath.Join(dir, "v2/partial")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	nobody := newSource(nil)
	mustRead(t, open(t, Options{Dir: dir}), s.key(), nobody, s.content)
	mustRead(t, two, s.key(), nobody, s.content)
}

// Two that read one blob from one directory fetch it once between them: each takes
// what the other has brought, and waits for what it is bringing.
func TestOneDownloadForAMachine(t *testing.T) {
	s := newSource(random(largeSize, 35))
	dir := t.TempDir()
	one, two := open(t, Options{Dir: dir}), open(t, Options{Dir: dir})
	r1, _ := reader(t, one, s.key(), s)
	if _, err := r1.ReadAt(t.Context(), make([]byte, 10), 0); err != nil {
		t.Fatal(err)
	}
	both := make(chan error)
	for _, c := range []*Cache{one, two} {
		go func() {
			got, err := readAll(t, c, s.key(), s, 100_000)
			if err == nil && !bytes.Equal(got, s.content) {
				err = errors.New("wrong content")
			}
			both <- err
		}()
	}
	for range 2 {
		if err := <-both; err != nil {
			t.Error(err)
		}
	}
	if total, _ := s.bytesSent(); total != largeSize {
		t.Errorf("%d bytes were sent of %d", total, largeSize)
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
				if size, free := c.disk.room.space(); free < size/keepFree {
					t.Errorf("%d of %d bytes are left free", free, size)
				}
				if c.Stats().DiskBytes == 0 {
					t.Error("the room there was isn't used")
				}
			}
		})
	}
}

// What is about to be written counts as written, so that those who write at the same time
// leave free what is to be left free.
func TestFreeSpaceIsLeft(t *testing.T) {
	c := open(t, Options{Dir: smallDisk(t, "8m")})
	d := c.disk
	size, free := d.room.space()
	var reserved int64
	for reserved < size && d.reserve(ChunkSize) == nil {
		reserved += ChunkSize
	}
	if left := free - reserved; left < size/keepFree || reserved == 0 {
		t.Errorf("%d of %d bytes may be written, %d are left", reserved, size, left)
	}
	d.settle(reserved, nil)
	d.room.none = time.Time{}
	if err := d.reserve(ChunkSize); err != nil {
		t.Errorf("when all that is written: %v", err)
	}
	d.settle(ChunkSize, nil)
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
	left, fresh := filepath.Join(dir, "v2/tmp/gone-x"), filepath.Join(dir, "v2/tmp/.x123")
	if err := errors.Join(os.MkdirAll(left, 0o700), os.WriteFile(filepath.Join(left, dataName), []byte("x"), 0o600),
		os.Chtimes(left, old, old), os.WriteFile(fresh, []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := open(t, Options{Dir: dir}).Close(); err != nil { // which waits for it
		t.Fatal(err)
	}
	if _, err := os.Lstat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is old is left: %v", err)
	}
	if _, err := os.Lstat(fresh); err != nil {
		t.Errorf("what is in the making is gone: %v", err)
	}
}
