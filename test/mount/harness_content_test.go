package mount

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"os"
	"testing"
)

const (
	mib = 1 << 20
	gib = 1 << 30
	// chunk is how much of a large blob the smallest read fetches at most,
	// cache.ChunkSize.
	chunk = 256 << 10
)

// Blobs up to 4 MiB are verified before their first byte, larger ones while
// they are read.
const (
	small = 1 * mib
	large = 5*mib + 4321
)

// randomFile writes a file of that size that no compression makes smaller, the
// same for the same seed, and gives its digest.
func randomFile(t testing.TB, file string, size int64, seed byte) string {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.New()
	random := rand.NewChaCha8([32]byte{seed})
	if _, err := io.Copy(io.MultiWriter(f, hash), io.LimitReader(random, size)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return "sha256:" + hex.EncodeToString(hash.Sum(nil))
}

// dropCache makes the kernel forget what it keeps of a file, so that the next
// read reaches the daemon.
func dropCache(t testing.TB, file string) {
	t.Helper()
	output(t, "dd", "if="+file, "iflag=nocache", "count=0")
}

// same fails the test unless the two files hold the same bytes.
func (m *mount) same(t testing.TB, original, file string) {
	t.Helper()
	if r := try(t, "cmp", original, file); r.code != 0 || r.stdout != "" || r.stderr != "" {
		t.Errorf("%s: exit code %d\n%s%s", r.command, r.code, r.stdout, r.stderr)
	}
}
