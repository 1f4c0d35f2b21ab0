package mount

import (
	"net/http"
	"strings"
	"testing"
)

// TestPagesOfAWrongBlob has a byte come wrong once. The kernel has kept it, under
// one name of the blob; then another name is read, right and verified. What is
// read of the first name after that is right, too, whoever has it open.
func TestPagesOfAWrongBlob(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	layer, original := f.addFile(t, "app", 7, large)
	m := mountRegistry(t, f.host)
	file, blob := m.path(contentPath("app")), m.path("app/_blobs/sha256/"+layer.Digest.Encoded())

	f.flipOnce(layer.Digest.String(), large/2)
	fails(t, ioError, "cat", file)
	m.same(t, original, blob)
	for range 3 {
		m.same(t, original, file)
	}

	// Now somebody has the first name open over all of that, has read the wrong
	// byte, and goes on in the end. It mustn't get what is missing.
	f2 := serveFake(t)
	layer, original = f2.addFile(t, "app", 8, 64*mib) // more than is read ahead
	m = mountRegistry(t, f2.host)
	file, blob = m.path(contentPath("app")), m.path("app/_blobs/sha256/"+layer.Digest.Encoded())
	f2.flipOnce(layer.Digest.String(), 1000)
	r := try(t, "bash", "-c", `
		exec 3<"$0"
		head -c 6000000 <&3 >/dev/null || exit 9
		cat "$0" >/dev/null 2>&1 && exit 8
		cmp "$0" "$1" || exit 7
		cmp "$2" "$1" || exit 6
		cat <&3 >/dev/null
	`, file, original, blob)
	if r.code != 1 || !strings.Contains(r.stderr, ioError) {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	m.same(t, original, file)
	m.same(t, original, blob)
}

// TestPagesOverMounts has one mount get a wrong byte, and another one of the same
// cache get the blob right: the first one's kernel pages aren't believed then.
func TestPagesOverMounts(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	layer, original := f.addFile(t, "app", 9, large)
	one := mountRegistry(t, f.host)
	other := prepare(t, f.host)
	other.cache = one.cache
	other.mount(t)
	f.flipOnce(layer.Digest.String(), large-10)
	fails(t, ioError, "cat", one.path(contentPath("app")))
	other.same(t, original, other.path(contentPath("app")))
	before := f.Count(http.MethodGet, "/blobs/")
	for range 2 {
		one.same(t, original, one.path(contentPath("app")))
	}
	if n := f.Count(http.MethodGet, "/blobs/") - before; n != 0 {
		t.Errorf("the registry was asked %d times for what is on disk", n)
	}
}
