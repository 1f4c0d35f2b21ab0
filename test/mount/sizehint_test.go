package mount

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// TestWrongSizeByHead has a registry tell once, by HEAD, that a blob is shorter
// than it is. That is a hint: it gives way to what a manifest says, to the next
// answer once a read has failed, or else after the tags' time to live.
func TestWrongSizeByHead(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{small, large} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			prepared := func(t *testing.T, ttl string) (f *fake, m *mount, blob, original string) {
				f = serveFake(t)
				layer, original := f.addFile(t, "app", 1, size)
				f.Inject(fakeregistry.Fault{
					Method: http.MethodHead, Path: "/blobs/", Times: 1,
					Header: map[string]string{"Content-Length": fmt.Sprint(size - 7)},
				})
				m = mountRegistry(t, f.host, "--tag-ttl", ttl)
				blob = "app/_blobs/sha256/" + hexOf(layer.Digest.String())
				if got := m.stat(t, "%s", blob); got != fmt.Sprint(size-7) {
					t.Fatalf("the blob has %s bytes: the test shows nothing", got)
				}
				return f, m, blob, original
			}
			heads := func(t *testing.T, f *fake, want int) {
				t.Helper()
				if got := f.Count(http.MethodHead, "/blobs/"); got != want {
					t.Errorf("the registry is asked %d times for the size, not %d", got, want)
				}
			}
			t.Run("read", func(t *testing.T) {
				f, m, blob, original := prepared(t, "1h")
				fails(t, ioError, "cat", m.path(blob))
				m.same(t, original, m.path(blob))
				m.same(t, original, m.path(blob))
				heads(t, f, 2)
			})
			t.Run("manifest", func(t *testing.T) {
				f, m, blob, original := prepared(t, "1h")
				m.same(t, original, m.path(contentPath("app")))
				m.same(t, original, m.path(blob))
				heads(t, f, 1)
			})
			t.Run("time to live", func(t *testing.T) {
				f, m, blob, original := prepared(t, "1s")
				eventually(t, "the size is right", func() bool { return m.stat(t, "%s", blob) == fmt.Sprint(size) })
				m.same(t, original, m.path(blob))
				if f.Count(http.MethodHead, "/blobs/") < 2 {
					t.Error("the registry isn't asked again")
				}
				eventually(t, "the blob is kept, whole", func() bool {
					_, err := os.Lstat(filepath.Join(m.cache, "v2/blobs/sha256", filepath.Base(blob)))
					return err == nil
				})
				f.Inject(fakeregistry.Fault{Method: http.MethodHead, Path: "/blobs/", Status: http.StatusNotFound})
				time.Sleep(2 * time.Second) // longer is as good
				m.same(t, original, m.path(blob))
			})
		})
	}
}
