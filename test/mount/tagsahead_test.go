package mount

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// serveTags serves a repository with so many tags, each of which takes a while to
// be resolved.
func serveTags(t testing.TB, count int) *fake {
	t.Helper()
	f := serveFake(t)
	pushed := f.AddArtifact("app", "", "application/vnd.example", nil)
	tags := make([]string, count)
	for i := range tags {
		tags[i] = fmt.Sprintf("v%04d", i)
	}
	f.Tag("app", pushed.Digest, tags...)
	f.Inject(fakeregistry.Fault{Method: http.MethodHead, Path: "/manifests/", Delay: 20 * time.Millisecond})
	return f
}

// TestTagsAhead looks at each tag of a listing: every one is asked for once, and
// several at a time.
func TestTagsAhead(t *testing.T) {
	t.Parallel()
	for _, walk := range []string{`ls -l "$0"`, `ls -lU "$0"`, `find "$0" -printf '%l\n'`, `ls -lr "$0"`} {
		t.Run(walk, func(t *testing.T) {
			t.Parallel()
			const count = 500
			f := serveTags(t, count)
			m := mountRegistry(t, f.host)
			m.ls(t, "app")
			f.Reset()
			begin := time.Now()
			got := strings.Count(output(t, "sh", "-c", walk, m.path("app/_tags")), "../_manifests/sha256/")
			t.Logf("%s for %d tags", time.Since(begin).Round(time.Millisecond), count)
			if got != count {
				t.Errorf("%d of %d links are shown", got, count)
			}
			if n := f.Count(http.MethodHead, "/app/manifests/"); n != count {
				t.Errorf("%d tags take %d requests", count, n)
			}
			if n := f.MostAtOnce(); n < 3 || n > 10 { // 8, the reader's own, and the listing's
				t.Errorf("%d requests are under way at the same time", n)
			}
		})
	}
}

// TestTagsNotAhead looks at one tag of a listing, and at tags of none: nothing
// else is asked for.
func TestTagsNotAhead(t *testing.T) {
	t.Parallel()
	f := serveTags(t, 200)
	m := mountRegistry(t, f.host)
	m.readlink(t, "app/_tags/v0001")
	m.readlink(t, "app/_tags/v0002")
	m.ls(t, "app/_tags")
	m.readlink(t, "app/_tags/v0100")
	m.readlink(t, "app/_tags/v0100")
	const pause = 200 * time.Millisecond // longer is as good
	time.Sleep(pause)
	if n := f.Count(http.MethodHead, "/app/manifests/"); n != 3 {
		t.Errorf("3 tags take %d requests", n)
	}
	eventually(t, "those that follow are asked for", func() bool {
		m.readlink(t, "app/_tags/v0100")
		m.readlink(t, "app/_tags/v0101")
		return f.Count(http.MethodHead, "/app/manifests/") >= 4+32
	})
	time.Sleep(pause)
	if n := f.Count(http.MethodHead, "/app/manifests/"); n != 4+32 {
		t.Errorf("4 tags and 32 that follow take %d requests", n)
	}
}
