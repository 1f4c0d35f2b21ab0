package mount

import (
	"fmt"
	iofs "io/fs"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// TestWarmImage has mounts show images whose registry is down by then: one that was
// there before, and one that is made afterwards.
func TestWarmImage(t *testing.T) {
	t.Parallel()
	items := bulkyOf(t, 6)
	f := serveFake(t)
	tags := layersOf(t, items)
	for tag, l := range tags {
		f.addImage("images", tagOf(tag), imageOf(t, l, gzipLayer(t, tarOf(t, regular("etc/top", "of all")))))
	}
	items = append(items, regular("etc/top", "of all"))
	m := mountRegistry(t, f.host, "--timeout", "5s") // in an outage each tag is asked for as long as that allows
	for tag := range tags {
		m.ls(t, "images:"+tagOf(tag))
		m.warm(t, f.host+"/images:"+tagOf(tag))
	}
	for tag, l := range tags {
		if got := m.warmed(t, 0, "--check", f.host+"/images:"+tagOf(tag)); got.Here != got.Size {
			t.Errorf("%s: %+v", tag, got)
		}
		if n := f.fetched(blobDigest(l)); n < int64(len(l.blob)) || n > int64(len(l.blob))*3/2 {
			t.Errorf("%s: %d bytes of %d were fetched", tag, n, len(l.blob))
		}
	}
	f.outOfReach()
	f.Reset()
	for restarts := range 2 {
		if restarts > 0 {
			m.restart(t)
		}
		for tag := range tags {
			sameItems(t, m.path("images:"+tagOf(tag), "rootfs"), items)
		}
	}
	if n := f.Count("", "/blobs/"); n != 0 {
		t.Errorf("%d requests for what is here", n)
	}
}

// tagOf is a name of a format as a tag can be.
func tagOf(format string) string { return strings.NewReplacer(":", "-", ", ", "-").Replace(format) }

// TestWarmPaths fetches some files of an image: of a layer whose parts can be read no
// more than those.
func TestWarmPaths(t *testing.T) {
	t.Parallel()
	items := bulkyOf(t, 24)
	f := serveFake(t)
	for format, l := range layersOf(t, items) {
		t.Run(format, func(t *testing.T) {
			tag := tagOf(format)
			f.addImage("app", tag, imageOf(t, l))
			target := f.host + "/app:" + tag
			size := int64(len(l.blob))
			parts := format != "gzip" && format != "zstd" && format != "tar" // of small files the headers are as good as all
			m := prepare(t, f.host)
			if got := m.warmed(t, 0, "--check", target+"/rootfs/usr/lib/lib03.so"); got.here(blobDigest(l)) != 0 || got.Size < size || f.fetched(blobDigest(l)) > 0 {
				t.Errorf("when nothing is here: %+v", got)
			}
			m.warm(t, target+"/rootfs/usr/lib/lib03.so")
			m.warm(t, target, "--include", "usr/*/lib0[4-7].so", "--include", "os-release", "--exclude", "lib05.so")
			fetched := f.fetched(blobDigest(l))
			if parts && (fetched < 4*mib || fetched > 10*mib) || !parts && (fetched < size*9/10 || fetched > size) {
				t.Errorf("%d bytes of %d were fetched", fetched, size)
			}
			check := m.warmed(t, 0, "--check", target, "--include", "lib0[347].so")
			if check.Here != check.Size && format != "tar" || parts && (check.Size < 3*mib || check.Size > 4*mib) {
				t.Errorf("what was fetched is here: %+v", check)
			}
			check = m.warmed(t, 0, "--check", target, "--include", "lib1?.so")
			if parts && (check.Here > 2*mib || check.Size < 10*mib) || !parts && check.Here < check.Size*9/10 {
				t.Errorf("what wasn't fetched: %+v", check)
			}
			if n := f.fetched(blobDigest(l)); n != fetched {
				t.Errorf("--check fetched %d bytes", n-fetched)
			}
			if got := m.warmed(t, 1, target+"/rootfs/usr/lib/typo"); len(got.Failed) != 1 || !strings.Contains(got.Failed[0].Reason, "rootfs/usr/lib/typo") {
				t.Errorf("a path that isn't there: %+v", got)
			}
			m.mount(t)
			m.ls(t, "app:"+tag)
			back := f.outOfReach()
			defer back()
			for _, i := range []int{3, 4, 6, 7} {
				if got := m.cat(t, "app:"+tag, fmt.Sprintf("rootfs/usr/lib/lib%02d.so", i)); got != noise(t, uint64(i), mib) {
					t.Errorf("file %d has other content", i)
				}
			}
			if got := m.cat(t, "app:"+tag, "rootfs/etc/os-release"); got != osRelease {
				t.Errorf("etc/os-release has %q", got)
			}
		})
	}
}

// TestWarmWrongParts has a part of a layer come wrong that has a table of contents: it
// isn't said to be here, and the other parts are.
func TestWarmWrongParts(t *testing.T) {
	t.Parallel()
	items := bulkyOf(t, 24)
	f := serveFake(t)
	l := stargzLayer(t, nil, items...)
	f.addImage("app", "v1", imageOf(t, l))
	at := int64(len(l.blob)) / 2
	f.Inject(fakeregistry.Fault{Path: "/blobs/" + blobDigest(l).String(), Flip: true, FlipAt: at})
	m := prepare(t, f.host)
	m.warm(t, f.host+"/app:v1", "--include", "lib0?.so")
	got := m.warmed(t, 1, f.host+"/app:v1", "--include", "lib1?.so")
	if len(got.Failed) != 1 || !strings.Contains(got.Failed[0].Reason, "doesn't match its digest") {
		t.Errorf("%+v", got)
	}
}

// TestWarmFixtures has what real tools made shown with the registry down as it is when
// it is up.
func TestWarmFixtures(t *testing.T) {
	t.Parallel()
	const sums = `cd "$0" && find . -type f -print0 | sort -z | xargs -0 sha256sum`
	for _, c := range []struct{ fixture, tag, dir string }{
		{"base-soci-v1", "latest", "rootfs"}, {"base-soci-v2", "latest", "rootfs"}, {"base-zstd-frames", "latest", "rootfs"},
		{"docker-schema2", "list", "rootfs"}, {"multi", "latest", "rootfs"}, {"helm-chart", "", "files"}, {"model", "", "files"}, {"artifact", "", "files"},
	} {
		t.Run(c.fixture, func(t *testing.T) {
			f := serveFake(t)
			layout := f.addFixture(t, c.fixture)
			if c.tag == "" {
				c.tag = onlyTag(t, layout)
			}
			m := mountRegistry(t, f.host, "--platform", "linux/amd64")
			m.ls(t, c.fixture+":"+c.tag)
			m.warm(t, f.host+"/"+c.fixture+":"+c.tag, "--platform", "linux/amd64")
			back := f.outOfReach()
			got := output(t, "sh", "-ec", sums, m.path(c.fixture+":"+c.tag, c.dir))
			back()
			other := mountRegistry(t, f.host, "--platform", "linux/amd64")
			if want := output(t, "sh", "-ec", sums, other.path(c.fixture+":"+c.tag, c.dir)); got != want || want == "" {
				t.Errorf("%d bytes of sums, not the %d of a mount with the registry up:\n%s", len(got), len(want), clip(got))
			}
		})
	}
}

// onlyTag is a tag of a layout.
func onlyTag(t testing.TB, layout iofs.FS) string {
	t.Helper()
	var index ocispec.Index
	readJSON(t, layout, ocispec.ImageIndexFile, &index)
	for _, m := range index.Manifests {
		if tag := m.Annotations[ocispec.AnnotationRefName]; tag != "" {
			return tag
		}
	}
	t.Fatal("the layout has no tag")
	return ""
}
