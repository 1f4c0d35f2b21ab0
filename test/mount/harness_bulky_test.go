package mount

import (
	"archive/tar"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
)

// osRelease is what etc/os-release holds in images of the tests.
const osRelease = "NAME=\"a test\"\nID=test\n"

// bulky is a tree of about 24 MiB: the first pass through it takes several requests,
// and one of them can be held up while others go on.
func bulky(t testing.TB) []item { return bulkyOf(t, 24) }

// bulkyOf is a tree of so many files of 1 MiB that no compression makes smaller, with
// etc/os-release somewhere in it.
func bulkyOf(t testing.TB, files int) []item {
	t.Helper()
	items := []item{directory("usr/"), directory("usr/lib/")}
	for i := range files {
		if i == files*13/24 {
			items = append(items, directory("etc/"), regular("etc/os-release", osRelease), symlink("etc/release", "os-release"))
		}
		items = append(items, regular(fmt.Sprintf("usr/lib/lib%02d.so", i), noise(t, uint64(i), mib)))
	}
	return items
}

// sameItems fails the test unless a directory holds the files among the items.
func sameItems(t testing.TB, dir string, items []item) {
	t.Helper()
	if wrong, failed := readAll(t, dir, items); len(wrong)+len(failed) > 0 {
		t.Errorf("other content have %q, errors are %q", wrong, failed)
	}
}

// readAll reads the files among the items and tells which hold something else
// and which are errors.
func readAll(t testing.TB, dir string, items []item) (wrong, failed []string) {
	t.Helper()
	for _, i := range items {
		if i.Typeflag != tar.TypeReg {
			continue
		}
		switch r := try(t, "cat", filepath.Join(dir, i.Name)); {
		case r.code != 0:
			failed = append(failed, i.Name)
		case r.stdout != i.content:
			wrong = append(wrong, i.Name)
		}
	}
	return wrong, failed
}

// dropBlob ends the mount, makes its cache forget a blob, and mounts again.
// What was made of the blob stays.
func (m *mount) dropBlob(t testing.TB, d digest.Digest) {
	t.Helper()
	m.unmount(t)
	dropped := 0
	for _, pattern := range []string{"blobs/sha256/" + d.Encoded() + "*", "partial/sha256-" + d.Encoded() + "*"} {
		files, err := filepath.Glob(filepath.Join(m.cache, "v2", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if err := os.RemoveAll(file); err != nil {
				t.Fatal(err)
			}
			dropped++
		}
	}
	if dropped == 0 {
		t.Fatalf("the cache holds nothing of %s", d)
	}
	m.mount(t)
}

// layersOf are the same items in every format.
func layersOf(t testing.TB, items []item) map[string]layer {
	t.Helper()
	content := tarOf(t, items...)
	return map[string]layer{
		"tar":                      plainLayer(content),
		"gzip":                     gzipLayer(t, content),
		"zstd":                     zstdLayer(t, content),
		"eStargz":                  stargzLayer(t, nil, items...),
		"zstd:chunked, stargz":     zstdChunkedLayer(t, true, nil, items...),
		"zstd:chunked, containers": zstdChunkedLayer(t, false, nil, items...),
	}
}
