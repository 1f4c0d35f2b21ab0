package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// A listedFile is one file of a layer, as a test compares it.
type listedFile struct {
	typ        Type
	mode       uint32
	uid, gid   uint32
	mtime      string
	link       string
	device     [2]uint32
	xattrs     map[string]string
	size       int64
	content    string // the bytes where they are few, else a digest
	hardlinkTo string // where its target isn't in the layer
}

func contentOf(data []byte) string {
	if len(data) < 200 {
		return string(data)
	}
	return fmt.Sprintf("%d bytes, %x", len(data), sha256.Sum256(data))
}

// builtTree is the tree in a builder with the contents behind its spans.
func builtTree(t *testing.T, s *Source, b *builder) map[string]listedFile {
	t.Helper()
	spans := make([][]byte, len(b.spans))
	for i, sp := range b.spans {
		data, err := s.inflate(t.Context(), sp)
		if err != nil {
			t.Fatalf("span %d: %v", i, err)
		}
		spans[i] = data
	}
	stream := bytes.Join(spans, nil)
	files := map[string]listedFile{}
	for path, n := range recorded(t, b) {
		f := listedFile{typ: n.typ, mode: n.mode, uid: n.uid, gid: n.gid, link: n.link, device: [2]uint32{n.major, n.minor}, xattrs: map[string]string{}, size: n.size}
		f.mtime = time.Unix(n.mtime.sec, int64(n.mtime.nsec)).UTC().Format(time.RFC3339Nano)
		for _, x := range n.xattrs {
			f.xattrs[x.Name] = x.Value
		}
		if n.typ == typeHardlink {
			f = listedFile{typ: typeHardlink, hardlinkTo: n.link}
		}
		if n.typ == TypeRegular {
			data := make([]byte, n.size)
			for _, x := range n.extents {
				copy(data[x.offset:x.offset+x.length], stream[x.stream:])
			}
			f.content = contentOf(data)
		}
		files[path] = f
	}
	for path, f := range files {
		for f.typ == typeHardlink {
			target, ok := files[f.hardlinkTo]
			if !ok {
				break
			}
			f = target
		}
		files[path] = f
	}
	return files
}

// tarTree is the tree of the layer's tar, read by the standard library. keep
// says which entries count.
func tarTree(t *testing.T, layer []byte, keep func(*tar.Header) bool) map[string]listedFile {
	t.Helper()
	types := map[byte]Type{
		tar.TypeReg: TypeRegular, tar.TypeDir: TypeDir, tar.TypeSymlink: TypeSymlink, tar.TypeChar: TypeChar,
		tar.TypeBlock: TypeBlock, tar.TypeFifo: TypeFIFO, tar.TypeLink: typeHardlink,
	}
	clean := func(name string) string { return strings.Trim(strings.TrimPrefix(name, "./"), "/") }
	files := map[string]listedFile{}
	for r := tar.NewReader(bytes.NewReader(unpackLayer(t, layer))); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if stargzNames[h.Name] || !keep(h) {
			continue
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		f := listedFile{
			typ: types[h.Typeflag], mode: uint32(h.Mode), uid: uint32(h.Uid), gid: uint32(h.Gid), link: h.Linkname,
			mtime: h.ModTime.UTC().Format(time.RFC3339Nano), device: [2]uint32{uint32(h.Devmajor), uint32(h.Devminor)}, xattrs: map[string]string{}, size: h.Size,
		}
		if f.typ == TypeRegular {
			f.content = contentOf(data)
		}
		if f.typ == typeHardlink {
			target, ok := files[clean(h.Linkname)]
			if f = target; !ok {
				f = listedFile{typ: typeHardlink, hardlinkTo: h.Linkname}
			}
		}
		for key, value := range h.PAXRecords {
			if name, ok := strings.CutPrefix(key, paxXattr); ok && value != "" {
				f.xattrs[name] = value
			}
		}
		files[strings.TrimSuffix(clean(h.Name), ".")] = f
	}
}

// unpackLayer is the tar of a layer.
func unpackLayer(t *testing.T, layer []byte) []byte {
	t.Helper()
	var r io.Reader
	var err error
	if bytes.HasPrefix(layer, []byte{0x1f, 0x8b}) {
		r, err = gzip.NewReader(bytes.NewReader(layer))
	} else {
		r, err = zstd.NewReader(bytes.NewReader(layer))
	}
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func sameTree(t *testing.T, got, want map[string]listedFile) {
	t.Helper()
	for name, w := range want {
		g, ok := got[name]
		if !ok {
			t.Errorf("%q is missing", name)
			continue
		}
		if fmt.Sprint(g) != fmt.Sprint(w) {
			t.Errorf("%q\n is     %+v\n should %+v", name, g, w)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%q is there, but not in the tar", name)
		}
	}
	if len(want) == 0 {
		t.Error("nothing to compare")
	}
}

// wholeSeconds is what stargz keeps of times.
func wholeSeconds(files map[string]listedFile) map[string]listedFile {
	for name, f := range files {
		whole, rest, ok := strings.Cut(f.mtime, ".")
		if ok && strings.HasSuffix(rest, "Z") {
			f.mtime = whole + "Z"
			files[name] = f
		}
	}
	return files
}
