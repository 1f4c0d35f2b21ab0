package mount

import (
	"archive/tar"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// overhead is how much memory the daemon may have beyond --memory.
const overhead = 150 * mib

// mostMemory is how much memory the daemon may have whatever an archive says.
const mostMemory = 64*mib + overhead

// A hostile is a mount of images that lie, and of one that doesn't.
type hostile struct {
	*fake
	*mount
}

func mountHostile(t testing.TB, flags ...string) *hostile {
	t.Helper()
	f := serveFake(t)
	f.addImage("good", "v1", imageOf(t, gzipLayer(t, tarOf(t, regular("etc/os-release", osRelease)))))
	return &hostile{f, mountRegistry(t, f.host, flags...)}
}

// check fails the test unless the root file system of an image of that layer
// shows, of some files, their content or an error, and nothing but these and
// more names that may be there. Where something is missing the log has a line.
// It gives the names that were found.
func (h *hostile) check(t testing.TB, l layer, files map[string]string, more ...string) []string {
	t.Helper()
	d := l.descriptor().Digest
	repo := "hostile/" + d.Encoded()[:12]
	rootfs := h.path(h.addImage(repo, "v1", imageOf(t, l)), "rootfs")
	r := try(t, "find", rootfs+"/", "-mindepth", "1", "-printf", `%P\0`)
	complete := r.code == 0
	expected := slices.AppendSeq(more, maps.Keys(files))
	var found []string
	for name := range strings.SplitSeq(r.stdout, "\x00") {
		if name == "" {
			continue
		}
		found = append(found, name)
		if !slices.ContainsFunc(expected, func(e string) bool { return e == name || strings.HasPrefix(e, name+"/") }) {
			t.Errorf("%.100q is there", name)
		}
	}
	for name, content := range files {
		r := try(t, "cat", rootfs+"/"+name)
		if r.code == 0 && r.stdout != content {
			t.Errorf("%s holds %d bytes %q, not the %d that it must hold", name, len(r.stdout), clip(r.stdout), len(content))
		}
		complete = complete && r.code == 0
	}
	if !complete {
		h.logs(t, d.Encoded())
	}
	if got := h.cat(t, "good:v1/rootfs/etc/os-release"); got != osRelease {
		t.Errorf("after it, the good image holds %q", got)
	}
	return found
}

// filesOf are the regular files among the items.
func filesOf(items []item) map[string]string {
	files := make(map[string]string)
	for _, i := range items {
		if i.Typeflag == tar.TypeReg {
			files[i.Name] = i.content
		}
	}
	return files
}

// patched is a tar header with other bytes at an offset, and the right
// checksum all the same.
func patched(header []byte, at int, with string) []byte {
	block := slices.Clone(header[:512])
	copy(block[at:], with)
	copy(block[tarChecksum:], "        ")
	var sum int
	for _, b := range block {
		sum += int(b)
	}
	copy(block[tarChecksum:], fmt.Sprintf("%06o\x00 ", sum))
	return block
}

// rootOf adds an image of layers and gives its root file system.
func (h *hostile) rootOf(t testing.TB, repo string, layers ...layer) string {
	t.Helper()
	return h.path(h.addImage(repo, "v1", imageOf(t, layers...)), "rootfs")
}

// Fields of a tar header: offset and length (POSIX, ustar).
const (
	tarSize     = 124
	tarChecksum = 148
)
