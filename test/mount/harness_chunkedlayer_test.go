package mount

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Layers with a table of contents, in which each file's content is compressed
// by itself. The fixtures of testdata are by the tools that people use and hold
// names that aren't UTF-8, for which the table isn't enough; these are larger
// and plain, and can be made wrong.

// A chunkedEntry is one of a table of contents (stargz-snapshotter,
// docs/estargz.md; containers/storage, pkg/chunked/internal).
type chunkedEntry struct {
	Name        string `json:"name"`
	Type        string `json:"type"`
	Size        int64  `json:"size,omitempty"`
	ModTime     string `json:"modtime,omitempty"`
	LinkName    string `json:"linkName,omitempty"`
	Mode        int64  `json:"mode,omitempty"`
	Offset      int64  `json:"offset,omitempty"`
	EndOffset   int64  `json:"endOffset,omitempty"` // the containers tools' only
	Digest      string `json:"digest,omitempty"`
	ChunkDigest string `json:"chunkDigest,omitempty"`
}

type chunkedTOC struct {
	Version int             `json:"version"`
	Entries []*chunkedEntry `json:"entries"`
}

// entry is the one of that name.
func (toc *chunkedTOC) entry(name string) *chunkedEntry {
	for _, e := range toc.Entries {
		if e.Name == name {
			return e
		}
	}
	return nil
}

var chunkedTypes = map[byte]string{tar.TypeReg: "reg", tar.TypeDir: "dir", tar.TypeSymlink: "symlink", tar.TypeLink: "hardlink"}

const tocDigestAnnotation = "containerd.io/snapshot/stargz/toc.digest"

// chunkedTar compresses a tar, each file's content and each part between those
// into something of its own. The end of the tar is missing.
func chunkedTar(t testing.TB, compress func(testing.TB, []byte) []byte, items []item) (blob, plain []byte, toc chunkedTOC) {
	t.Helper()
	var pending bytes.Buffer
	w := tar.NewWriter(&pending)
	flush := func() {
		blob = append(blob, compress(t, pending.Bytes())...)
		plain = append(plain, pending.Bytes()...)
		pending.Reset()
	}
	toc.Version = 1
	for _, i := range items {
		if err := w.WriteHeader(&i.Header); err != nil {
			t.Fatal(err)
		}
		e := &chunkedEntry{
			Name: i.Name, Type: chunkedTypes[i.Typeflag], Size: i.Size, LinkName: i.Linkname, Mode: i.Mode,
			ModTime: i.ModTime.Format("2006-01-02T15:04:05Z07:00"),
		}
		toc.Entries = append(toc.Entries, e)
		if i.content == "" {
			continue
		}
		flush()
		e.Offset = int64(len(blob))
		if _, err := w.Write([]byte(i.content)); err != nil {
			t.Fatal(err)
		}
		flush()
		e.EndOffset = int64(len(blob))
		e.Digest = digest.FromString(i.content).String()
		e.ChunkDigest = e.Digest
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	flush()
	return blob, plain, toc
}

// stargzLayer is an eStargz layer. change, unless it is nil, makes its table of
// contents another before the annotation is made.
func stargzLayer(t testing.TB, change func(*chunkedTOC), items ...item) layer {
	t.Helper()
	blob, plain, toc := chunkedTar(t, gzipped, items)
	for _, e := range toc.Entries {
		e.EndOffset = 0 // it has none
	}
	if change != nil {
		change(&toc)
	}
	document := asJSON(t, toc)
	offset := len(blob)
	last := tarOf(t, regular("stargz.index.json", string(document)))
	blob = append(blob, gzipped(t, last)...)
	plain = append(plain, last...)

	var footer bytes.Buffer
	w, err := gzip.NewWriterLevel(&footer, gzip.NoCompression)
	if err != nil {
		t.Fatal(err)
	}
	w.Extra = fmt.Appendf([]byte{'S', 'G', 22, 0}, "%016xSTARGZ", offset)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if footer.Len() != 51 {
		t.Fatalf("the footer of eStargz has %d bytes, not 51", footer.Len())
	}
	return layer{
		blob:        append(blob, footer.Bytes()...),
		mediaType:   ocispec.MediaTypeImageLayerGzip,
		annotations: map[string]string{tocDigestAnnotation: digest.FromBytes(document).String()},
		diffID:      digest.FromBytes(plain),
	}
}

// zstdChunkedLayer is a zstd:chunked layer, as stargz writes it or as the
// containers tools did before the tar-split.
func zstdChunkedLayer(t testing.TB, stargz bool, change func(*chunkedTOC), items ...item) layer {
	t.Helper()
	blob, plain, toc := chunkedTar(t, zstdCompressed, items)
	end := make([]byte, 1024)
	blob, plain = append(blob, zstdCompressed(t, end)...), append(plain, end...)
	for _, e := range toc.Entries {
		if stargz {
			e.EndOffset = 0
		} else {
			e.ChunkDigest = "" // a file is one chunk
		}
	}
	if change != nil {
		change(&toc)
	}
	document := asJSON(t, toc)
	packed := zstdCompressed(t, document)
	position := []uint64{uint64(len(blob)) + 8, uint64(len(packed)), uint64(len(document)), 1}
	blob = append(blob, skippable(packed)...)
	var footer []byte
	for _, n := range position {
		footer = binary.LittleEndian.AppendUint64(footer, n)
	}
	blob = append(blob, skippable(append(footer, "GnUlInUx"...))...)
	l := layer{
		blob: blob, mediaType: ocispec.MediaTypeImageLayerZstd, diffID: digest.FromBytes(plain),
		annotations: map[string]string{
			"io.containers.zstd-chunked.manifest-checksum": digest.FromBytes(packed).String(),
			"io.containers.zstd-chunked.manifest-position": fmt.Sprintf("%d:%d:%d:%d", position[0], position[1], position[2], position[3]),
		},
	}
	if stargz {
		l.annotations[tocDigestAnnotation] = digest.FromBytes(document).String()
	}
	return l
}

// skippable is a skippable frame of zstd (RFC 8878, section 3.1.2).
func skippable(payload []byte) []byte {
	frame := binary.LittleEndian.AppendUint32([]byte{0x50, 0x2a, 0x4d, 0x18}, uint32(len(payload)))
	return append(frame, payload...)
}

func asJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
