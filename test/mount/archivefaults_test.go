package mount

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// TestArchiveFaultsOvercome has a registry misbehave in ways that must not show
// in what a layer holds.
func TestArchiveFaultsOvercome(t *testing.T) {
	t.Parallel()
	items := bulkyOf(t, 10)
	for format, l := range layersOf(t, items) {
		for name, fault := range map[string]fakeregistry.Fault{
			"no ranges": {IgnoreRange: true},
			"cut":       {Cut: true, CutAt: 70_000, Times: 3},
			"hang once": {Hang: true, CutAt: 100_000, Times: 1},
		} {
			t.Run(format+", "+name, func(t *testing.T) {
				t.Parallel()
				f := serveFake(t)
				f.addImage("app", "v1", imageOf(t, l))
				m := mountRegistry(t, f.host, waitsFor(fault)...)
				fault.Path = "/blobs/" + l.descriptor().Digest.String()
				f.Inject(fault)
				sameItems(t, m.path("app:v1/rootfs"), items)
			})
		}
	}
}

// TestArchiveFlippedByte has a registry send a wrong byte of a layer: no file
// is wrong, and when the registry is well again all are right.
func TestArchiveFlippedByte(t *testing.T) {
	t.Parallel()
	items := bulkyOf(t, 10)
	for format, l := range layersOf(t, items) {
		size := int64(len(l.blob))
		for _, flipped := range []int64{600, size / 2} {
			t.Run(fmt.Sprintf("%s, byte %d of %d", format, flipped, size), func(t *testing.T) {
				t.Parallel()
				f := serveFake(t)
				f.addImage("app", "v1", imageOf(t, l))
				m := mountRegistry(t, f.host, "--timeout", "5s")
				remove := f.Inject(fakeregistry.Fault{Path: "/blobs/" + l.descriptor().Digest.String(), Flip: true, FlipAt: flipped})
				rootfs := m.path("app:v1/rootfs")
				if wrong, failed := readAll(t, rootfs, items); len(wrong) > 0 && format != "tar" {
					// What is read of a part of a plain tar can only be checked
					// with all of it; the others have digests of parts.
					t.Errorf("wrong are %q", wrong)
				} else if len(failed) == 0 {
					t.Error("no file is an error, although a byte is wrong")
				}
				remove()
				m.restart(t)
				for range 5 { // what is wrong in the cache is found when it is read
					if _, failed := readAll(t, rootfs, items); len(failed) == 0 {
						break
					}
				}
				sameItems(t, rootfs, items)
			})
		}
	}
}

// TestArchiveSharedFetch has several readers come to one cold layer at once.
// Each byte is fetched once.
func TestArchiveSharedFetch(t *testing.T) {
	t.Parallel()
	items := bulky(t)
	l := gzipLayer(t, tarOf(t, items...))
	f := serveFake(t)
	f.addImage("app", "v1", imageOf(t, l))
	m := mountRegistry(t, f.host)
	var readers []*process
	for _, path := range []string{"rootfs", "rootfs", "layers/00"} {
		readers = append(readers, start(t, exec.Command("sh", "-c", `tar --sort=name -cf - -C "$0" . | sha256sum`, m.path("app:v1", path))))
	}
	readers = append(readers, start(t, exec.Command("cat", m.path("app:v1/rootfs/etc/os-release"))))
	for _, p := range readers {
		if state := p.wait(t); !state.Success() || p.stderr.Len() > 0 {
			t.Errorf("%s: %s\n%s", p.cmd, state, p.stderr.String())
		}
	}
	if a, b := readers[0].stdout.String(), readers[1].stdout.String(); a != b {
		t.Errorf("two readers of one directory got %s and %s", a, b)
	}
	if n := f.fetched(l.descriptor().Digest); n != int64(len(l.blob)) {
		t.Errorf("of a layer of %d bytes %d were fetched", len(l.blob), n)
	}
	sameItems(t, m.path("app:v1/rootfs"), items)
}

// TestArchiveInterrupted interrupts a reader that waits for a layer to be
// indexed, and unmounts while another one does: both end.
func TestArchiveInterrupted(t *testing.T) {
	t.Parallel()
	l := gzipLayer(t, tarOf(t, bulky(t)...))
	f := serveFake(t)
	f.addImage("app", "v1", imageOf(t, l))
	m := mountRegistry(t, f.host, "--timeout", "1h")
	f.Inject(fakeregistry.Fault{Path: "/blobs/" + l.descriptor().Digest.String(), Hang: true, CutAt: 100_000}) // of each request
	waiting := func() *process {
		before := f.Count(http.MethodGet, "/blobs/")
		p := start(t, exec.Command("ls", m.path("app:v1/rootfs/usr/lib")))
		if before == 0 {
			eventually(t, "the layer is asked for", func() bool { return f.Count(http.MethodGet, "/blobs/"+l.descriptor().Digest.String()) > 0 })
		}
		return p
	}
	if state := waiting().signal(t, syscall.SIGINT); state.Success() {
		t.Error("the interrupted reader has succeeded")
	}
	m.ls(t, "app:v1/layers") // the mount goes on
	p := waiting()
	if err := syscall.Kill(m.daemon(t), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.gone(t)
	if state := p.wait(t); state.Success() {
		t.Error("the reader whose mount has gone has succeeded")
	}
}

// TestArchiveStalled has the registry stall while a layer is indexed: readers
// get an error in bounded time, and the content when it answers again.
func TestArchiveStalled(t *testing.T) {
	t.Parallel()
	items := bulkyOf(t, 10)
	l := gzipLayer(t, tarOf(t, items...))
	f := serveFake(t)
	f.addImage("app", "v1", imageOf(t, l))
	m := mountRegistry(t, f.host, "--timeout", "3s")
	path := "/blobs/" + l.descriptor().Digest.String()
	f.Inject(fakeregistry.Fault{Path: path, Hang: true, CutAt: 100_000, Times: 1}) // something comes at first
	remove := f.Inject(fakeregistry.Fault{Path: path, Stall: true})
	fails(t, timedOut, "cat", m.path("app:v1/rootfs/etc/os-release"))
	m.logs(t, l.descriptor().Digest.Encoded(), "ETIMEDOUT")
	remove()
	// Whoever comes while the last stalled request is waited for shares its fate.
	eventually(t, "it is read again", func() bool { return try(t, "cat", m.path("app:v1/rootfs/etc/os-release")).code == 0 })
	sameItems(t, m.path("app:v1/rootfs"), items)
}

// TestArchiveOutage kills the registry after an image was read: it goes on
// working by its digest and its tag, after a restart too.
func TestArchiveOutage(t *testing.T) {
	t.Parallel()
	items := bulkyOf(t, 10)
	f := serveFake(t)
	path := f.addImage("app", "v1", imageOf(t, gzipLayer(t, tarOf(t, items...)), zstdLayer(t, tarOf(t, regular("etc/new", "new\n")))))
	m := mountRegistry(t, f.host, "--timeout", "5s", "--tag-ttl", "1s")
	sameItems(t, m.path("app:v1/rootfs"), items)
	sameItems(t, m.path(path, "rootfs"), []item{regular("etc/new", "new\n")})
	f.Inject(fakeregistry.Fault{Status: http.StatusBadGateway})
	time.Sleep(2 * time.Second) // longer is as good
	if got := m.cat(t, "app:v1/rootfs/etc/os-release"); got != osRelease {
		t.Errorf("by the tag etc/os-release holds %q", got)
	}
	dropCache(t, m.path(path, "rootfs/etc/os-release"))
	if got := m.cat(t, path, "rootfs/etc/os-release"); got != osRelease {
		t.Errorf("etc/os-release holds %q", got)
	}
	output(t, "sh", "-c", `tar -cf - -C "$0" . | wc -c`, m.path(path, "layers/00"))
}

// TestArchiveWithoutCache reads an image with a disk cache that can't hold its
// layer, and with hardly any memory.
func TestArchiveWithoutCache(t *testing.T) {
	t.Parallel()
	items := bulkyOf(t, 20) // more than the memory below
	for format, l := range layersOf(t, items) {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			f := serveFake(t)
			f.addImage("app", "v1", imageOf(t, l))
			m := mountRegistry(t, f.host, "--cache-size", "1MiB", "--memory", "16MiB")
			rootfs := m.path("app:v1/rootfs")
			sameItems(t, rootfs, items)
			f.Reset()
			sameItems(t, rootfs, items)
			// A span that is fetched for each file in it would be much more.
			if n, most := f.fetched(l.descriptor().Digest), 4*int64(len(l.blob)); n > most {
				t.Errorf("reading all of a layer of %d bytes again fetched %d", len(l.blob), n)
			}
		})
	}
}

// TestArchiveForPlainUser mounts as a plain user, who sees the archive's owners
// and modes, and reads what is theirs to read.
func TestArchiveForPlainUser(t *testing.T) {
	t.Parallel()
	u := newUser(t)
	f := serveFake(t)
	f.addFixture(t, "base-gzip")
	m := u.prepare(t, f.host)
	m.mount(t)
	rootfs := m.path("base-gzip:latest/rootfs")
	r := u.does(t, "stat", "-c", "%a %u:%g", rootfs+"/modes/setuid", rootfs+"/owners/big-ids")
	if want := "4755 0:0\n644 3000000:3000001\n"; r.code != 0 || r.stdout != want {
		t.Errorf("%s: exit code %d, %q, not %q\n%s", r.command, r.code, r.stdout, want, r.stderr)
	}
	if r := u.does(t, rootfs+"/bin/busybox", "cat", rootfs+"/etc/os-release"); r.code != 0 || !strings.Contains(r.stdout, "ID=orasfs-fixture") {
		t.Errorf("%s: exit code %d, %q\n%s", r.command, r.code, r.stdout, r.stderr)
	}
}
