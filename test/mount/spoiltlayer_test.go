package mount

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// partsOf are the beginnings of what is packed by itself in a blob, by the first
// bytes of each.
func partsOf(blob []byte, magic string) []int64 {
	var at []int64
	for from := 0; ; from++ {
		i := bytes.Index(blob[from:], []byte(magic))
		if i < 0 {
			return at
		}
		from += i
		at = append(at, int64(from))
	}
}

const (
	gzipMember = "\x1f\x8b\x08\x00\x00"
	zstdFrame  = "\x28\xb5\x2f\xfd"
)

// lazyLayersOf are the layers of items that are read by a table of contents, and
// where a file in the middle of each begins.
func lazyLayersOf(t testing.TB, items []item) (map[string]layer, map[string]int64) {
	t.Helper()
	layers, middle := layersOf(t, items), map[string]int64{}
	for format, magic := range map[string]string{"eStargz": gzipMember, "zstd:chunked, stargz": zstdFrame, "zstd:chunked, containers": zstdFrame} {
		parts := partsOf(layers[format].blob, magic)
		for i := len(parts) / 2; middle[format] == 0 && i+1 < len(parts); i++ {
			if parts[i+1]-parts[i] > mib/2 { // no header
				middle[format] = parts[i]
			}
		}
		if middle[format] == 0 {
			t.Fatalf("%s: no file among %d parts", format, len(parts))
		}
	}
	return layers, middle
}

// TestPartSpoiltOnce has a part of a layer come once as what can't even be
// unpacked. All files are right at once, and little is fetched in vain.
func TestPartSpoiltOnce(t *testing.T) {
	t.Parallel()
	items := bulkyOf(t, 24) // what is read ahead as it is found out is little beside it
	layers, middle := lazyLayersOf(t, items)
	for format, at := range middle {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			l := layers[format]
			f := serveFake(t)
			f.addImage("app", "v1", imageOf(t, l))
			m := mountRegistry(t, f.host)
			f.flipOnce(l.descriptor().Digest.String(), at)
			sameItems(t, m.path("app:v1/rootfs"), items)
			if n := f.fetched(l.descriptor().Digest); n > 2*int64(len(l.blob)) {
				t.Errorf("of a layer of %d bytes %d were fetched", len(l.blob), n)
			}
		})
	}
	t.Run("indexed before", func(t *testing.T) {
		t.Parallel()
		l := layers["gzip"]
		f := serveFake(t)
		f.addImage("app", "v1", imageOf(t, l))
		m := mountRegistry(t, f.host)
		m.ls(t, "app:v1/rootfs/usr/lib")
		m.dropBlob(t, l.descriptor().Digest)
		f.flipOnce(l.descriptor().Digest.String(), int64(len(l.blob)/2))
		sameItems(t, m.path("app:v1/rootfs"), items)
	})
	t.Run("SOCI", func(t *testing.T) {
		t.Parallel()
		f, right := serveFake(t), serveFake(t)
		_, manifest := fixtureManifest(t, f.addFixture(t, "base-soci-v2"), "latest")
		right.addFixture(t, "base-soci-v2")
		f.flipOnce(manifest.Layers[0].Digest.String(), manifest.Layers[0].Size/2)
		const sums = `cd "$0" && find . -type f -print0 | sort -z | xargs -0 sha256sum`
		var got [2]string
		for i, host := range []string{f.host, right.host} {
			got[i] = output(t, "sh", "-c", sums, mountRegistry(t, host).path("base-soci-v2:latest/rootfs"))
		}
		if got[0] != got[1] {
			t.Errorf("files have the digests\n%s\nnot\n%s", clip(got[0]), clip(got[1]))
		}
	})
}

// TestPartSpoiltForLong has a registry send a part of a layer wrong until it is
// well again. Meanwhile no file is wrong, and the layer isn't fetched again and
// again; after a restart all are right.
func TestPartSpoiltForLong(t *testing.T) {
	t.Parallel()
	items := bulkyOf(t, 10)
	layers, middle := lazyLayersOf(t, items)
	for format, at := range middle {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			l := layers[format]
			f := serveFake(t)
			f.addImage("app", "v1", imageOf(t, l))
			m := mountRegistry(t, f.host)
			remove := f.Inject(fakeregistry.Fault{Path: "/blobs/" + l.descriptor().Digest.String(), Flip: true, FlipAt: at})
			rootfs := m.path("app:v1/rootfs")
			wrong, failed := readAll(t, rootfs, items)
			if len(wrong) > 0 || len(failed) == 0 {
				t.Errorf("wrong are %q, errors %q", wrong, failed)
			}
			// All of it may come three times before it is known for being wrong.
			if n := f.fetched(l.descriptor().Digest); n > 4*int64(len(l.blob)) {
				t.Errorf("of a layer of %d bytes %d were fetched", len(l.blob), n)
			}
			m.logs(t, l.descriptor().Digest.Encoded(), "EIO")
			remove()
			m.restart(t)
			sameItems(t, rootfs, items)
		})
	}
}

// TestSpoiltTable has a registry spoil a layer's table of contents, so that it
// can't be used, and a byte of a file. The file isn't shown wrong: neither while
// the layer is read without its table, nor after that.
func TestSpoiltTable(t *testing.T) {
	t.Parallel()
	items := bulkyOf(t, 10)
	layers, _ := lazyLayersOf(t, items)
	for format, fromEnd := range map[string]int64{"eStargz": 20, "zstd:chunked, stargz": 200, "zstd:chunked, containers": 200} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			l := layers[format]
			f := serveFake(t)
			f.addImage("app", "v1", imageOf(t, l))
			m := mountRegistry(t, f.host)
			path, size := "/blobs/"+l.descriptor().Digest.String(), int64(len(l.blob))
			last := func(r *http.Request) bool {
				var first, last int64
				_, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last)
				return err != nil || last == size-1
			}
			removeTable := f.Inject(fakeregistry.Fault{Path: path, If: last, Flip: true, FlipAt: size - fromEnd})
			removeByte := f.Inject(fakeregistry.Fault{Path: path, Flip: true, FlipAt: 200_000})
			rootfs := m.path("app:v1/rootfs")
			if wrong, failed := readAll(t, rootfs, items[:4]); len(wrong) > 0 || len(failed) == 0 {
				t.Errorf("wrong are %q, errors %q", wrong, failed)
			}
			m.logs(t, l.descriptor().Digest.Encoded(), "EIO")
			removeTable()
			removeByte()
			sameItems(t, rootfs, items)
		})
	}
}

// TestFailedPass has a byte of a gzip layer come wrong once, and looks at the file
// while the layer is on its way. When all has come it is known that something was
// wrong; from then on the file is never wrong, and right when the registry is asked
// again.
func TestFailedPass(t *testing.T) {
	t.Parallel()
	items := bulky(t) // of which half is held up
	l := gzipLayer(t, tarOf(t, items...))
	f := serveFake(t)
	f.addImage("app", "v1", imageOf(t, l))
	m := mountRegistry(t, f.host)
	blob := l.descriptor().Digest.String()
	goOn := make(chan struct{})
	f.flipOnce(blob, 200_000)
	f.Inject(fakeregistry.Fault{Path: "/blobs/" + blob, Hang: true, CutAt: 0, Until: goOn, If: func(r *http.Request) bool {
		var first int64
		_, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &first)
		return err == nil && first >= 12*mib
	}})
	file, content := m.path("app:v1/rootfs/usr/lib/lib00.so"), items[2].content
	if r := try(t, "cat", file); r.code != 0 || r.stdout == content {
		t.Errorf("while the layer is on its way: exit code %d, %d bytes", r.code, len(r.stdout))
	}
	close(goOn)
	fails(t, ioError, "cat", m.path("app:v1/rootfs/usr/lib/lib23.so"))
	eventually(t, "the file is right", func() bool {
		r := try(t, "cat", file)
		if r.code == 0 && r.stdout != content {
			t.Fatal("the file is wrong")
		}
		return r.code == 0
	})
	for range 2 {
		dropCache(t, file)
		if got := m.cat(t, "app:v1/rootfs/usr/lib/lib00.so"); got != content {
			t.Fatal("the file is wrong")
		}
	}
	sameItems(t, m.path("app:v1/rootfs"), items)
}
