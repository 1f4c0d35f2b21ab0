package mount

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// TestSharedFetch lets several readers loose on one cold blob: whoever comes
// first, each of its bytes is fetched once.
func TestSharedFetch(t *testing.T) {
	t.Parallel()
	const size = 64*mib + 12345
	r := startDistribution(t)
	dir := t.TempDir()
	original := filepath.Join(dir, "cold.bin")
	digest := randomFile(t, original, size, 2)
	r.push(t, dir, "cold:v1", "cold.bin")

	for _, c := range []struct {
		name string
		skip []string // where each reader begins
		file []string // and what it reads
	}{
		{"side by side", []string{"0", "0"}, []string{"_tags/v1/files/cold.bin", "_tags/v1/files/cold.bin"}},
		{"by two names", []string{"0", "0"}, []string{"_tags/v1/files/cold.bin", "_blobs/" + digest}},
		{"from two places", []string{"0", "33333333"}, []string{"_tags/v1/files/cold.bin", "_tags/v1/layers/00-cold.bin"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := startFront(t, r.host)
			m := mountRegistry(t, f.host)
			var readers []*process
			for i, file := range c.file {
				cmp := exec.Command("cmp", "--ignore-initial="+c.skip[i], original, m.path("cold", file))
				readers = append(readers, start(t, cmp))
			}
			for _, p := range readers {
				if state := p.wait(t); !state.Success() {
					t.Errorf("%s: %s\n%s%s", p.cmd, state, p.stdout.String(), p.stderr.String())
				}
			}
			once(t, f.requests("/blobs/"+digest), size)
		})
	}
}
