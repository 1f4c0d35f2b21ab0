package mount

import (
	"fmt"
	"testing"
)

// TestSmallFilesComeWithTheirOpen reads small files of an image that is unpacked: the
// kernel asks for none of their bytes, and has the right ones. A file that is larger is
// asked for.
func TestSmallFilesComeWithTheirOpen(t *testing.T) {
	t.Parallel()
	var items []item
	for i, size := range []int64{1, 200, 4095, 4096, 4097, 8192, 50_000, 128 << 10} {
		items = append(items, regular(fmt.Sprint("file-", i), noise(t, uint64(i), size)))
	}
	l := gzipLayer(t, tarOf(t, append(items, regular("large", noise(t, 99, mib)))...))
	f := serveFake(t)
	f.addImage("app", "v1", imageOf(t, l))
	address := freeAddress(t)
	m := mountRegistry(t, f.host, "--metrics-addr", address)
	output(t, "ls", m.path("app:v1/rootfs"))
	reads := func() float64 {
		t.Helper()
		s, _ := scrapeOf(t, address)
		return s.sum("orasfs_fuse_request_duration_seconds", "op", "read")
	}
	before := reads()
	for range 2 {
		sameItems(t, m.path("app:v1/rootfs"), items)
	}
	if n := reads() - before; n != 0 {
		t.Errorf("%.0f times the kernel asked for what it could have", n)
	}
	output(t, "cat", m.path("app:v1/rootfs/large"))
	if reads() == before {
		t.Error("nothing is asked for of a large file")
	}
}
