package archive

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestSOCIFixtures(t *testing.T) {
	for _, image := range []string{"base-soci-v1", "base-soci-v2"} {
		for i, s := range imageSources(t, image) {
			t.Run(fmt.Sprint(image, " ", i), func(t *testing.T) {
				if s.ZTOC == nil {
					t.Fatal("no zTOC")
				}
				blob := s.Blob.(*memoryBlob)
				b := testBuilder(t)
				if err := sociIndex(s, b); err != nil {
					t.Fatal(err)
				}
				if reads := blob.read(); len(reads) > 0 {
					t.Errorf("the index took the reads %v", reads)
				}
				if i == 0 && len(b.spans) != 10 {
					t.Errorf("%d spans", len(b.spans))
				}
				sameTree(t, builtTree(t, s, b), tarTree(t, blob.data, keepAll))
			})
		}
	}
}

// ztocFields are the parts of a zTOC that a test changes.
type ztocFields struct {
	packed, size int64
	algorithm    uint8
	maxSpan      uint32
	digests      []string
	checkpoints  []byte
	files        []ztocFile
}

type ztocFile struct {
	name, typ, link, time string
	offset, size, mode    int64
	major                 int64
	pax                   [][2]string
}

func (z ztocFields) encode() []byte {
	var files, digests []fbValue
	for _, f := range z.files {
		var pax []fbValue
		for _, record := range f.pax {
			pax = append(pax, fbTable{fbString(record[0]), fbString(record[1])})
		}
		files = append(files, fbTable{
			fbString(f.name), fbString(f.typ), fbInt64(f.offset), fbInt64(f.size), fbString(f.link), fbInt64(f.mode), fbInt32(7), nil,
			nil, nil, fbString(f.time), fbInt64(f.major), nil, fbVector(pax),
		})
	}
	for _, d := range z.digests {
		digests = append(digests, fbString(d))
	}
	info := fbTable{nil, fbInt32(z.maxSpan), fbVector(digests), fbString(z.checkpoints)}
	if z.algorithm != 0 {
		info[0] = fbUint8(z.algorithm)
	}
	return encodeFlatbuffer(fbTable{
		fbString("0.9"), nil, fbInt64(z.packed), fbInt64(z.size), fbTable{fbVector(files)}, info,
	})
}

// checkpoint is one of a blob of checkpoints.
func checkpoint(in, out int64, bits uint8) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(in))
	b = append(binary.LittleEndian.AppendUint64(b, uint64(out)), bits)
	return append(b, make([]byte, zinfoWindow)...)
}

// checkpoints are a blob of count of them.
func checkpoints(count uint32, points ...[]byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, count)
	return append(binary.LittleEndian.AppendUint64(b, 1<<22), slices.Concat(points...)...)
}

// sociLayer is a gzip layer of a tar of 4096 bytes, and a zTOC of it with one
// file.
func sociLayer(t testing.TB) (*Source, ztocFields) {
	content := strings.Repeat("x", 512) + "content" + strings.Repeat("\x00", 4096-519)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	s := memorySource(b.Bytes(), nil)
	return s, ztocFields{
		packed: s.Size, size: 4096, digests: []string{sha256Of(b.String()[10:])},
		checkpoints: checkpoints(1, checkpoint(10, 0, 0)),
		files:       []ztocFile{{name: "f", typ: "reg", time: "2001-01-01T00:00:00Z", offset: 512, size: 7, mode: 0o104755}},
	}
}

func TestSOCIReads(t *testing.T) {
	s, z := sociLayer(t)
	z.files[0].pax = [][2]string{{"path", "f"}, {"SCHILY.xattr.user.a", "1"}, {"SCHILY.xattr.user.deleted", ""}}
	for name, z := range map[string]ztocFields{"version 2": z, "version 1": withCheckpoints(z, checkpoints(1))} {
		s.ZTOC = z.encode()
		b := testBuilder(t)
		if err := sociIndex(s, b); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := builtTree(t, s, b)
		want := map[string]listedFile{"f": {typ: TypeRegular, mode: 0o4755, uid: 7, mtime: "2001-01-01T00:00:00Z", xattrs: map[string]string{"user.a": "1"}, size: 7, content: "content"}}
		sameTree(t, got, want)
	}
	// The list of files to prefetch that newer writers append changes nothing.
	s.ZTOC = append(z.encode(), `---SOCI-PREFETCH---[{}]`...)
	if err := sociIndex(s, testBuilder(t)); err != nil {
		t.Error(err)
	}
}

func withCheckpoints(z ztocFields, blob []byte) ztocFields {
	z.checkpoints = blob
	return z
}

func TestSOCIRefuses(t *testing.T) {
	s, good := sociLayer(t)
	file := func(change func(f *ztocFile)) func(*ztocFields) {
		return func(z *ztocFields) {
			z.files = slices.Clone(z.files)
			change(&z.files[0])
		}
	}
	points := func(blob []byte) func(*ztocFields) { return func(z *ztocFields) { z.checkpoints = blob } }
	two := func(in, out int64, bits uint8) func(*ztocFields) {
		return func(z *ztocFields) {
			z.maxSpan, z.digests = 1, []string{someDigest, someDigest}
			z.checkpoints = checkpoints(2, checkpoint(10, 0, 0), checkpoint(in, out, bits))
		}
	}
	tests := map[string]func(*ztocFields){
		"a layer of another size":   func(z *ztocFields) { z.packed++ },
		"a size of 0":               func(z *ztocFields) { z.size = 0 },
		"a negative size":           func(z *ztocFields) { z.size = -1 },
		"a size too large":          func(z *ztocFields) { z.size = maxStream + 1 },
		"a span too large":          func(z *ztocFields) { z.size = maxSpan + 1 },
		"a plain tar":               func(z *ztocFields) { z.algorithm = 2 },
		"an unknown algorithm":      func(z *ztocFields) { z.algorithm = 200 },
		"spans beyond the digests":  func(z *ztocFields) { z.maxSpan = 1 },
		"spans below the digests":   func(z *ztocFields) { z.maxSpan = 1<<32 - 1 },
		"a digest missing":          func(z *ztocFields) { z.digests = nil },
		"a digest too many":         func(z *ztocFields) { z.digests = append(z.digests, someDigest) },
		"a digest that is none":     func(z *ztocFields) { z.digests = []string{"sha256:"} },
		"no checkpoints":            points(nil),
		"checkpoints: no header":    points(make([]byte, 11)),
		"checkpoints: none":         points(checkpoints(0)),
		"checkpoints: cut":          points(checkpoints(1, checkpoint(10, 0, 0))[:1000]),
		"checkpoints: too many":     points(checkpoints(1<<32-1, checkpoint(10, 0, 0))),
		"checkpoints: more bytes":   points(append(checkpoints(1, checkpoint(10, 0, 0)), 0)),
		"begins before the header":  points(checkpoints(1, checkpoint(9, 0, 0))),
		"begins after the layer":    points(checkpoints(1, checkpoint(good.packed, 0, 0))),
		"begins far off":            points(checkpoints(1, checkpoint(-1<<63, 0, 0))),
		"begins within the tar":     points(checkpoints(1, checkpoint(10, 1, 0))),
		"begins before the tar":     points(checkpoints(1, checkpoint(10, -1, 0))),
		"begins within a byte":      points(checkpoints(1, checkpoint(11, 0, 3))),
		"second: at the first":      two(10, 512, 0),
		"second: before the first":  two(9, 512, 0),
		"second: after the layer":   two(good.packed+1, 512, 0),
		"second: no bytes between":  two(20, 0, 0),
		"second: backwards":         two(20, -1, 0),
		"second: empty, no bytes":   two(good.packed, 4096, 0),
		"second: after the end":     two(20, 1<<62, 0),
		"second: too many bits":     two(20, 512, 8),
		"content before its header": file(func(f *ztocFile) { f.offset = 0 }),
		"content at an odd place":   file(func(f *ztocFile) { f.offset = 513 }),
		"content negative":          file(func(f *ztocFile) { f.offset = -512 }),
		"content after the tar":     file(func(f *ztocFile) { f.offset = 4096 + 512 }),
		"content beyond the tar":    file(func(f *ztocFile) { f.size = 4096 }),
		"size negative":             file(func(f *ztocFile) { f.size = -1 }),
		"size far too large":        file(func(f *ztocFile) { f.size = 1<<63 - 1 }),
		"an unknown type":           file(func(f *ztocFile) { f.typ = "socket" }),
		"no type":                   file(func(f *ztocFile) { f.typ = "" }),
		"no time":                   file(func(f *ztocFile) { f.time = "" }),
		"a time that is none":       file(func(f *ztocFile) { f.time = "now" }),
		"a device that is none":     file(func(f *ztocFile) { f.major = 1 << 32 }),
		"a negative device":         file(func(f *ztocFile) { f.major = -1 }),
		"a sparse file":             file(func(f *ztocFile) { f.pax = [][2]string{{"GNU.sparse.major", "1"}} }),
		"files overlap":             func(z *ztocFields) { z.files = append(slices.Clone(z.files), z.files[0]) },
	}
	for name, change := range tests {
		z := good
		change(&z)
		s.ZTOC = z.encode()
		// What is wrong is what it says, not how it is written.
		if err := sociIndex(s, testBuilder(t)); !errors.Is(err, errUntrusted) || strings.Contains(err.Error(), "parse the zTOC") {
			t.Errorf("%s: index = %v, want errUntrusted", name, err)
		}
	}
}

// However a zTOC is cut or changed, it is read or refused.
func TestSOCIDamaged(t *testing.T) {
	s, z := sociLayer(t)
	z.checkpoints = checkpoints(1)
	whole := z.encode()
	for n := range len(whole) - 1 { // the last byte is a string's NUL
		s.ZTOC = whole[:n]
		if err := sociIndex(s, testBuilder(t)); !errors.Is(err, errUntrusted) {
			t.Errorf("index of the first %d of %d bytes = %v", n, len(whole), err)
		}
	}
	for i := range whole {
		for _, c := range []byte{0, 1, 0x7f, 0x80, 0xff} {
			changed := bytes.Clone(whole)
			changed[i] = c
			s.ZTOC = changed
			if err := sociIndex(s, newBuilder(func(error) {})); err != nil && !errors.Is(err, errUntrusted) {
				t.Errorf("index with byte %d %#x = %v", i, c, err)
			}
		}
	}
}

// A small zTOC that means one list many times isn't long to read.
func TestSOCIShared(t *testing.T) {
	s, z := sociLayer(t)
	z.files = nil
	var pax []fbValue
	for range 1000 {
		pax = append(pax, fbTable{fbString("SCHILY.xattr.user.x"), fbString("1")})
	}
	shared := &fbShared{value: fbVector(pax)}
	var files []fbValue
	for i := range 1000 {
		files = append(files, fbTable{
			fbString("f"), fbString("dir"), fbInt64(int64(i+1) * 512), nil, nil, nil, nil, nil, nil, nil, fbString("2001-01-01T00:00:00Z"), nil, nil, shared,
		})
	}
	z.size = 1 << 20
	s.ZTOC = encodeFlatbuffer(fbTable{
		nil, nil, fbInt64(z.packed), fbInt64(z.size), fbTable{fbVector(files)},
		fbTable{nil, nil, fbVector{fbString(z.digests[0])}, fbString(z.checkpoints)},
	})
	if err := sociIndex(s, testBuilder(t)); !errors.Is(err, errUntrusted) || !strings.Contains(err.Error(), "several times") {
		t.Errorf("index = %v", err)
	}
}

func TestZTOCs(t *testing.T) {
	layer, other := digest.FromString("layer"), digest.FromString("other")
	of := func(layer digest.Digest, ztoc string) ocispec.Descriptor {
		return ocispec.Descriptor{Digest: digest.Digest(ztoc), Annotations: map[string]string{sociLayerDigest: string(layer)}}
	}
	first, second := digest.FromString("1").String(), digest.FromString("2").String()
	ztocs := ZTOCs([]ocispec.Descriptor{of(layer, first), of(other, second), of(layer, second), of("sha256:x", first), of(digest.FromString("bad"), "bad"), {}})
	if got := slices.Sorted(maps.Keys(ztocs)); len(got) != 2 || ztocs[layer].Digest.String() != first || ztocs[other].Digest.String() != second {
		t.Errorf("zTOCs are %v", ztocs)
	}
}

func FuzzZTOC(f *testing.F) {
	_, z := sociLayer(f)
	f.Add(z.encode())
	z.files[0].pax = [][2]string{{"SCHILY.xattr.user.a", "1"}}
	f.Add(withCheckpoints(z, checkpoints(1)).encode())
	f.Add(imageSources(f, "base-soci-v1")[2].ZTOC)
	f.Fuzz(func(t *testing.T, ztoc []byte) {
		b := newBuilder(func(error) {})
		size := newFlatbuffer(ztoc).root().int64(ztocCompressedSize)
		s := &Source{Size: size, ZTOC: ztoc}
		err := sociIndex(s, b)
		if err != nil {
			if !errors.Is(err, errUntrusted) && !errors.Is(err, ErrTooLarge) {
				t.Errorf("index = %v", err)
			}
			return
		}
		end := int64(0)
		for _, sp := range b.spans {
			end += sp.length
		}
		checkBuilt(t, b, end, size)
	})
}
