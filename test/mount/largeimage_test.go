package mount

import (
	"archive/tar"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/test/soak"
)

// manyFiles is an image of that many names in three layers, the same every
// time: small files of all sizes up to 3 KiB in directories of 100, links of
// both kinds, and in the upper layers what replaces and removes some.
func manyFiles(t testing.TB, names int) image {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same every time
	text := noise(t, 3, 64<<10)
	name := func(n int) string { return fmt.Sprintf("srv/%02d/%02d/file-%05d.txt", n/10_000, n/100%100, n) }
	described := func(i item, n int) item {
		i.Mode = []int64{0o644, 0o755, 0o600, 0o444}[n%4]
		i.Uid, i.Gid = n%7*1000, n%5*100
		i.ModTime = packedAt.AddDate(0, 0, -n%1000)
		return i
	}
	make := func(from, to int) []item {
		var items []item
		for n := from; n < to; n++ {
			if n%10_000 == 0 {
				items = append(items, directory(fmt.Sprintf("srv/%02d/", n/10_000)))
			}
			if n%100 == 0 {
				items = append(items, directory(filepath.Dir(name(n))+"/"))
			}
			switch i := regular(name(n), text[:random.IntN(3<<10)]); {
			case n%100 == 98:
				items = append(items, symlink(name(n), filepath.Base(name(n-1))))
			case n%100 == 99:
				items = append(items, described(hardlink(name(n), name(n-2)), n-2)) // as tar writes it
			default:
				items = append(items, described(i, n))
			}
		}
		return items
	}
	lower := append([]item{directory("srv/")}, make(0, names*6/10)...)
	upper := make(names*6/10, names*9/10)
	last := make(names*9/10, names)
	for n := 0; n < names*6/10; n += 50 {
		changed := regular(name(n), "changed\n")
		if n%200 == 0 {
			changed = regular(filepath.Dir(name(n))+"/.wh."+filepath.Base(name(n)), "")
		}
		upper = append(upper, changed)
	}
	last = append(last, regular("srv/00/07/.wh..wh..opq", ""), regular("srv/00/07/only", "only\n"), regular("srv/00/.wh.08", ""))
	return imageOf(t, gzipLayer(t, tarOf(t, lower...)), gzipLayer(t, tarOf(t, upper...)), gzipLayer(t, tarOf(t, last...)))
}

// TestManyFiles compares an image of 20,000 files, 100,000 in full, with what umoci
// unpacks of it, within the bounds of memory.
func TestManyFiles(t *testing.T) {
	t.Parallel()
	needRoot(t) // umoci makes files of others
	made := manyFiles(t, soak.Size(20_000, 100_000))
	want := umociUnpack(t, made.layout(t), "latest")
	f := serveFake(t)
	path := f.addImage("app", "v1", made)
	const memory = 64 * mib
	m := prepare(t, f.host, "--memory", "64MiB")
	m.binary = orasfsLean
	m.mount(t)

	rootfs := m.path(path, "rootfs")
	sameListing(t, "rootfs", listing(t, rootfs, treeFormat...), listing(t, want, treeFormat...))
	if got, want := sumOfTar(t, rootfs), sumOfTar(t, want); got != want {
		t.Errorf("tar makes another archive of rootfs than of what umoci unpacks: %s, not %s", got, want)
	}
	if peak := m.peak(t); peak > memory+overhead {
		t.Errorf("the daemon had %d MiB of memory", peak/mib)
	}

	m.restart(t)
	f.Reset()
	sameListing(t, "rootfs after a restart", listing(t, rootfs, treeFormat...), listing(t, want, treeFormat...))
	f.asksNothing(t, "after a restart")
	if peak := m.peak(t); peak > memory+overhead {
		t.Errorf("after a restart the daemon had %d MiB of memory", peak/mib)
	}
}

// TestLargeLayer reads a layer of 512 MiB, 2 GiB in full, from one end to the other,
// within the bounds of memory.
func TestLargeLayer(t *testing.T) {
	t.Parallel()
	const size = 64 * mib
	files := soak.Size(8, 32)
	block := noise(t, 4, 16<<10)
	file, err := os.Create(filepath.Join(t.TempDir(), "layer.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // nothing is lost
	blobSum, tarSum := digest.SHA256.Digester(), digest.SHA256.Digester()
	zipped, err := gzip.NewWriterLevel(io.MultiWriter(file, blobSum.Hash()), gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(io.MultiWriter(zipped, tarSum.Hash()))
	for i := range files {
		h := regular(fmt.Sprintf("big/%02d.bin", i), "").Header
		h.Size = size
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		content := strings.Repeat(fmt.Sprintf("%08d", i)+block[8:], size/len(block))
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	f := serveFake(t)
	l := f.AddReader("app", blobSum.Digest(), file, info.Size())
	l.MediaType = ocispec.MediaTypeImageLayerGzip
	path := f.addImage("app", "v1", imageOfDescriptors(t, []ocispec.Descriptor{l}, []digest.Digest{tarSum.Digest()}))
	const memory = 64 * mib
	m := prepare(t, f.host, "--memory", "64MiB")
	m.binary = orasfsLean
	m.mount(t)

	counted := output(t, "sh", "-c", `tar -cf - -C "$0" big | wc -c`, m.path(path, "rootfs"))
	var n int64
	if _, err := fmt.Sscan(counted, &n); err != nil || n < int64(files*size) {
		t.Errorf("tar read %s bytes of %d: %v", strings.TrimSpace(counted), files*size, err)
	}
	last := fmt.Sprintf("%08d%s", files-1, block[8:64])
	if got := output(t, "head", "-c", "64", m.path(path, "rootfs/big", fmt.Sprintf("%02d.bin", files-1))); got != last {
		t.Error("the last file begins with something else")
	}
	if peak := m.peak(t); peak > memory+overhead {
		t.Errorf("the daemon had %d MiB of memory", peak/mib)
	}
}
