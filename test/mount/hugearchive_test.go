package mount

import (
	"archive/tar"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/test/soak"
)

// TestBombs has small layers become large ones, of 1 GiB, 4 GiB in full: more than
// memory and cache together.
func TestBombs(t *testing.T) {
	t.Parallel()
	const part = 64 * mib
	size := soak.Size[int64](gib, 4*gib)
	zeros := regular("zeros", "").Header
	zeros.Size = size
	var header bytes.Buffer
	w := tar.NewWriter(&header)
	first := regular("etc/os-release", osRelease)
	if err := w.WriteHeader(&first.Header); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(first.content)); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteHeader(&zeros); err != nil {
		t.Fatal(err)
	}
	sum := digest.SHA256.Digester()
	sum.Hash().Write(header.Bytes())
	block := make([]byte, part)
	for range size / part {
		sum.Hash().Write(block)
	}
	sum.Hash().Write(block[:1024])

	many := append(gzipped(t, header.Bytes()), bytes.Repeat(gzipped(t, block), int(size/part))...)
	for name, l := range map[string]layer{
		"gzip of many members":  {blob: append(many, gzipped(t, block[:1024])...), mediaType: ocispec.MediaTypeImageLayerGzip},
		"zstd, one frame":       {blob: zstdBomb(header.Bytes(), size+1024, 8), mediaType: ocispec.MediaTypeImageLayerZstd},
		"zstd, window of 2 GiB": {blob: zstdBomb(header.Bytes(), size+1024, 21), mediaType: ocispec.MediaTypeImageLayerZstd},
	} {
		t.Run(name, func(t *testing.T) {
			l.diffID = sum.Digest()
			f := serveFake(t)
			path := f.addImage("bomb", "v1", imageOf(t, l))
			m := prepare(t, f.host, "--memory", "64MiB", "--cache-size", "256MiB")
			m.binary = orasfsLean
			m.mount(t)
			r := try(t, "cat", m.path(path, "rootfs/etc/os-release"))
			if r.code == 0 && r.stdout != osRelease {
				t.Errorf("etc/os-release holds %q", r.stdout)
			}
			if r.code != 0 {
				m.logs(t, l.descriptor().Digest.Encoded())
			}
			last := try(t, "sh", "-c", `tail -c 1000000 "$0" | tr -d '\0' | wc -c`, m.path(path, "rootfs/zeros"))
			if got := strings.TrimSpace(last.stdout); got != "0" {
				t.Errorf("%s bytes at the end of zeros are others", got)
			}
			if last.stderr != "" {
				m.logs(t, l.descriptor().Digest.Encoded())
			}
			if peak := m.peak(t); peak > mostMemory {
				t.Errorf("the daemon had %d MiB of memory", peak/mib)
			}
		})
	}
}

// zstdBomb is a frame (RFC 8878, section 3.1.1) of some bytes and many zeros,
// with a window of 1<<(10+exponent) bytes.
func zstdBomb(prefix []byte, zeros int64, exponent uint8) []byte {
	const most = 128 << 10 // bytes in a block
	const raw, rle = 0, 1
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, exponent << 3}
	block := func(last, kind, size int) {
		h := last | kind<<1 | size<<3
		frame = append(frame, byte(h), byte(h>>8), byte(h>>16))
	}
	block(0, raw, len(prefix))
	frame = append(frame, prefix...)
	for zeros > 0 {
		n := min(zeros, most)
		zeros -= n
		last := 0
		if zeros == 0 {
			last = 1
		}
		block(last, rle, int(n))
		frame = append(frame, 0)
	}
	return frame
}

// TestTooManyEntries has a layer of 10 million entries, of which more than a
// million have names of their own.
func TestTooManyEntries(t *testing.T) {
	t.Parallel()
	const members, each, rounds = 16, 70_000, 9
	header := tarOf(t, regular("n0000000", ""))[:512]
	var round []byte
	for member := range members {
		var part bytes.Buffer
		for n := range each {
			part.Write(patched(header, 0, fmt.Sprintf("n%07d", member*each+n)))
		}
		round = append(round, gzipped(t, part.Bytes())...)
	}
	blob := append(bytes.Repeat(round, rounds), gzipped(t, make([]byte, 1024))...)
	f := serveFake(t)
	l := layer{blob: blob, mediaType: ocispec.MediaTypeImageLayerGzip, diffID: digest.FromString("nobody gets so far")}
	path := f.addImage("many", "v1", imageOf(t, l))
	m := prepare(t, f.host, "--memory", "64MiB")
	m.binary = orasfsLean
	m.mount(t)
	if r := try(t, "ls", m.path(path, "rootfs")+"/"); r.code == 0 {
		t.Errorf("%d names are listed", strings.Count(r.stdout, "\n"))
	}
	m.logs(t, l.descriptor().Digest.Encoded())
	// A million entries take their room before there is one too many.
	if peak := m.peak(t); peak > gib {
		t.Errorf("the daemon had %d MiB of memory", peak/mib)
	}
}
