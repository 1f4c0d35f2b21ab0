package cache

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

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
	counted(c)
	const size = SmallBlob + 3*ChunkSize/2 // the smallest that has an odd end
	small, large, partial := newSource(random(1000, 30)), newSource(random(size, 31)), newSource(random(size, 32))
	mustRead(t, c, small.key(), small, small.content)
	mustRead(t, c, large.key(), large, large.content)
	for _, off := range []int64{0, 1 << 20, 4 << 20} {
		if _, err := readPart(t, c, partial.key(), partial, off, 100); err != nil {
			t.Fatal(err)
		}
	}
	document = []byte(`{"schemaVersion":2}`)
	mustHaveDocument(t, c, document)
	shut(t, c)
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

// Every kind of damage to every file costs fetches at most. The short form, for the race
// detector, does each to every fourth file.
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
	for k, name := range slices.Sorted(maps.Keys(damages)) {
		damage := damages[name]
		for i := range files(t, dir) {
			if testing.Short() && (i+k)%4 > 0 {
				continue
			}
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
	c := open(t, Options{Dir: t.TempDir(), Memory: ChunkSize}) // too little for one chunk
	mustRead(t, c, s.key(), s, s.content)
	settled(c)
	before, _ := s.bytesSent()
	flipByte(t, filepath.Join(c.disk.blob(s.key().Digest), dataName), 5<<20)
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
		"v2/blobs/readme":                      "x",
		"v2/blobs/sha256/not-a-digest":         "x",
		"v2/blobs/sha256/not-a-directory/sums": "x",
		"v2/partial/x":                         "x",
		"v2/partial/x.y/sums":                  "x",
		"v2/partial/.data":                     "x",
		"v2/partial/a.b.c/data/data":           "x",
		"v2/blobs/sha512":                      "x",
		"v1/past":                              "x",
		"v3/future":                            "x",
		"elsewhere":                            "x",
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
