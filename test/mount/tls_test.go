package mount

import (
	"testing"
)

// TestTLS mounts a registry whose certificate no authority has signed that the
// machine knows.
func TestTLS(t *testing.T) {
	f := serveFake(t)
	_, original := f.addFile(t, "app", 1, small)
	host, ca := serveTLS(t, f.Registry)
	for _, flags := range [][]string{{"--ca-file", ca}, {"--insecure"}} {
		t.Run(flags[0], func(t *testing.T) {
			m := mountRegistry(t, host, flags...)
			m.same(t, original, m.path(contentPath("app")))
		})
	}
}
