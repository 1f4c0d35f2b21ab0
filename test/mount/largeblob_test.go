package mount

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/orasfs/orasfs/test/soak"
)

// TestLargeBlob reads 256 MiB, 1 GiB in full: in its middle, whole, a second time,
// after a restart of the daemon. That is more than the daemon may have of memory.
func TestLargeBlob(t *testing.T) {
	t.Parallel()
	size := soak.Size[int64](256*mib, gib)
	r := startDistribution(t)
	dir := t.TempDir()
	original := filepath.Join(dir, "big.bin")
	randomFile(t, original, size, 1)
	pushed := r.push(t, dir, "big:v1", "big.bin")

	f := startFront(t, r.host)
	m := prepare(t, f.host, "--memory", "64MiB")
	m.binary = orasfsLean
	m.mount(t)
	big := m.path("big/_manifests/sha256", hexOf(pushed), "files/big.bin")

	f.forget()
	if got := output(t, "stat", "-c", "%s", big); got != fmt.Sprintln(size) {
		t.Errorf("the size is %s", got)
	}
	if asked := f.requests("/blobs/"); len(asked) != 0 {
		t.Errorf("the size was asked of the registry: %v", asked)
	}

	middle := func(file string) string {
		return output(t, "dd", "if="+file, "bs=4096", "count=1", fmt.Sprint("skip=", size/2/4096), "status=none")
	}
	if middle(big) != middle(original) {
		t.Error("4 KiB in the middle are wrong")
	}
	if n := sent(f.requests("/blobs/")); n == 0 || n > chunk {
		t.Errorf("4 KiB in the middle fetched %d bytes, more than a chunk of %d", n, chunk)
	}

	m.same(t, original, big)
	output(t, "dd", "if="+big, "of=/dev/null", "bs=1M")
	once(t, f.requests("/blobs/"), size)
	if peak := m.peak(t); peak > 200*mib {
		t.Errorf("the daemon had %d MiB of memory", peak/mib)
	}

	dropCache(t, big)
	f.forget()
	m.same(t, original, big)
	if asked := f.requests(""); len(asked) != 0 {
		t.Errorf("the second read asked the registry: %v", asked)
	}

	m.restart(t)
	dropCache(t, big)
	f.forget()
	m.same(t, original, big)
	for _, kind := range []string{"/blobs/", "/manifests/"} {
		if asked := f.requests(kind); len(asked) != 0 {
			t.Errorf("the read after a restart asked the registry: %v", asked)
		}
	}
	if peak := m.peak(t); peak > 200*mib {
		t.Errorf("the daemon had %d MiB of memory after the restart", peak/mib)
	}
}
