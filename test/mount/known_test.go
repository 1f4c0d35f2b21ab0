package mount

import (
	"net/http"
	"path"
	"testing"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// TestOtherRepository reads what one repository has, and asks another for it by
// its digest: it is there where the registry says so, whatever the cache holds.
func TestOtherRepository(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	layer, original := f.addFile(t, "a/private/app", 1, small)
	f.addFile(t, "a/team/copy", 1, small) // the same
	f.addFile(t, "b/public", 2, small)
	m := mountRegistry(t, f.host)
	m.same(t, original, m.path(contentPath("a/private/app")))
	m.same(t, original, m.path("a/private/app/_blobs", layer.Digest.String()))
	manifest := "sha256:" + path.Base(m.readlink(t, "a/private/app/_tags/v1"))
	m.ls(t, "b/public")
	m.ls(t, "a/team/copy")

	f.Reset()
	for _, name := range []string{
		"b/public@" + manifest + "/files/content.bin",
		"b/public/_manifests/" + manifest + "/files/content.bin",
		"b/public/_manifests/sha256/" + hexOf(manifest) + "/files/content.bin",
		"b/public/_blobs/" + layer.Digest.String(),
		"b/public/_blobs/sha256/" + hexOf(layer.Digest.String()),
	} {
		fails(t, notThere, "cat", m.path(name))
	}
	manifests, blobs := f.Count(http.MethodHead, "/b/public/manifests/"+manifest), f.Count(http.MethodHead, "/b/public/blobs/"+layer.Digest.String())
	doubts := f.Count(http.MethodGet, "/b/public/manifests/"+manifest)
	if n := f.Count("", "/b/public/"); manifests == 0 || blobs == 0 || doubts != 1 || manifests+doubts+blobs != n {
		t.Errorf("%d requests, HEAD for the manifest %d and for the blob %d, GET for the manifest %d, want 1", n, manifests, blobs, doubts)
	}

	f.Reset()
	for range 2 {
		m.same(t, original, m.path("a/team/copy@"+manifest+"/files/content.bin"))
		m.same(t, original, m.path("a/team/copy/_blobs/sha256/"+hexOf(layer.Digest.String())))
	}
	if f.Count("", "/a/team/copy/") != 1 || f.Count(http.MethodHead, "/a/team/copy/manifests/"+manifest) != 1 {
		t.Errorf("what the cache holds takes one HEAD of the manifest: %v", f.Requests())
	}
}

// down has the registry fail whatever is asked by a digest or a tag.
func (f *fake) down() (up func()) {
	manifests := f.Inject(fakeregistry.Fault{Path: "/manifests/", Status: http.StatusBadGateway})
	blobs := f.Inject(fakeregistry.Fault{Path: "/blobs/", Status: http.StatusBadGateway})
	return func() { manifests(); blobs() }
}

// TestShownBefore has a registry fail after a restart: what was read through a
// digest is there, to whom it was shown, and where.
func TestShownBefore(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.RequireBasic("reader", password)
	layer, original := f.addFile(t, "app", 1, small)
	f.addFile(t, "other", 2, small)
	m := prepare(t, f.host, "--timeout", "5s", "--username", "reader", "--password-stdin")
	m.stdin = password + "\n"
	m.mount(t)
	m.same(t, original, m.path(contentPath("app")))
	blob := m.path("app/_blobs/sha256", hexOf(layer.Digest.String()))
	m.same(t, original, blob)
	manifest := "sha256:" + path.Base(m.readlink(t, "app/_tags/v1"))
	byDigest := m.path("app@" + manifest + "/files/content.bin")

	m.restart(t)
	m.ls(t, "app")
	m.ls(t, "other")
	f.down()
	m.same(t, original, blob)
	m.same(t, original, byDigest)
	for _, name := range []string{"other@" + manifest + "/files/content.bin", "other/_blobs/" + layer.Digest.String()} {
		fails(t, ioError, "cat", m.path(name))
	}
}

// TestShownToAnother has a registry fail after a restart with another credential:
// what only the first one was shown isn't there.
func TestShownToAnother(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	layer, original := f.addFile(t, "app", 1, small)
	m := prepare(t, f.host, "--timeout", "5s", "--username", "reader", "--password-stdin")
	as := func(password string) {
		f.RequireBasic("reader", password)
		m.stdin = password + "\n"
		m.mount(t)
		m.ls(t, "app")
	}
	as("first")
	m.same(t, original, m.path(contentPath("app")))
	blob := m.path("app/_blobs/sha256", hexOf(layer.Digest.String()))
	m.same(t, original, blob)
	byDigest := m.path("app@sha256:" + path.Base(m.readlink(t, "app/_tags/v1")) + "/files/content.bin")
	m.unmount(t)

	as("second")
	up := f.down()
	fails(t, ioError, "cat", blob)
	fails(t, ioError, "cat", byDigest)
	up()
	m.unmount(t)
	as("first")
	f.down()
	m.same(t, original, blob)
	m.same(t, original, byDigest)
}
