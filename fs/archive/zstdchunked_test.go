package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
)

func zstdOf(t testing.TB, data string) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll([]byte(data), nil)
}

// chunkedLayer is a zstd:chunked layer in the dialect of those annotations'
// prefix: body, and the table in a skippable frame.
func chunkedLayer(t testing.TB, prefix string, body []byte, toc string) *Source {
	t.Helper()
	packed := zstdOf(t, toc)
	layer := slices.Concat(body, binary.LittleEndian.AppendUint32([]byte("\x50\x2a\x4d\x18"), uint32(len(packed))), packed)
	return memorySource(layer, map[string]string{
		prefix + ".zstd-chunked.manifest-position": fmt.Sprintf("%d:%d:%d:1", len(body)+skippableHeader, len(packed), len(toc)),
		prefix + ".zstd-chunked.manifest-checksum": sha256Of(string(packed)),
	})
}

const (
	containersDialect = "io.github.containers"
	oldDialect        = "io.containers"
)

func TestZstdChunkedFixtures(t *testing.T) {
	for _, test := range []struct {
		image  string
		layers []int // whose names are UTF-8
	}{{"base-zstdchunked-podman", []int{1, 2}}, {"base-zstdchunked-stargz", []int{1, 2}}, {"zstdchunked-podman-old", []int{0, 1}}} {
		sources := imageSources(t, test.image)
		for _, i := range test.layers {
			t.Run(fmt.Sprint(test.image, " ", i), func(t *testing.T) {
				s := sources[i]
				blob := s.Blob.(*memoryBlob)
				b := testBuilder(t)
				if err := zstdChunkedIndex(t.Context(), s, b); err != nil {
					t.Fatal(err)
				}
				if reads := blob.read(); len(reads) != 1 {
					t.Errorf("the index took the reads %v", reads)
				}
				want := tarTree(t, blob.data, keepAll)
				if s.Annotations[stargzTOCDigest] != "" {
					wholeSeconds(want)
				}
				sameTree(t, builtTree(t, s, b), want)
			})
		}
	}
}

func TestZstdChunkedLostNames(t *testing.T) {
	for image, position := range map[string]string{"base-zstdchunked-podman": containersPosition, "base-zstdchunked-stargz": chunkedPosition} {
		s := imageSources(t, image)[0]
		if err := zstdChunkedIndex(t.Context(), s, testBuilder(t)); !errors.Is(err, errUntrusted) {
			t.Errorf("%s: index = %v, want errUntrusted", image, err)
		}
		at, packed, _, err := parseChunkedPosition(s.Annotations[position], s.Size)
		if err != nil {
			t.Fatal(err)
		}
		blob := s.Blob.(*memoryBlob)
		z, err := zstd.NewReader(bytes.NewReader(blob.data[at : at+packed]))
		if err != nil {
			t.Fatal(err)
		}
		toc, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		b := testBuilder(t)
		b.hide = stargzNames
		r := tocReader{b: b, codec: codecZstd, limit: at - skippableHeader}
		if err := r.read(bytes.NewReader(withoutLost(t, toc))); err != nil {
			t.Fatal(err)
		}
		want := tarTree(t, blob.data, keepUTF8)
		if position == chunkedPosition {
			wholeSeconds(want)
		} else if !slices.ContainsFunc(b.spans, func(sp span) bool { return sp.codec == codecZero }) {
			t.Error("no span of zeros, though busybox and sparse-1m.bin have some")
		}
		sameTree(t, builtTree(t, s, b), want)
	}
}

// Only stargz adds entries of its own: in another dialect a file with such a
// name is the image's.
func TestZstdChunkedHides(t *testing.T) {
	toc := tocOf(`{"name":".no.prefetch.landmark","type":"reg"}`)
	for _, test := range []struct {
		prefix string
		digest string
		want   int
	}{{containersDialect, "", 1}, {oldDialect, "", 1}, {oldDialect, sha256Of(toc), 0}} {
		s := chunkedLayer(t, test.prefix, nil, toc)
		if test.digest != "" {
			s.Annotations[stargzTOCDigest] = test.digest
		}
		b := testBuilder(t)
		if err := zstdChunkedIndex(t.Context(), s, b); err != nil {
			t.Fatal(err)
		}
		if len(recorded(t, b)) != test.want {
			t.Errorf("%s, digest %q: names are %v", test.prefix, test.digest, slices.Collect(maps.Keys(recorded(t, b))))
		}
	}
}

// The last chunk ends where the frame with the table begins.
func TestZstdChunkedLastChunk(t *testing.T) {
	body := zstdOf(t, "content")
	s := chunkedLayer(t, oldDialect, body, tocOf(fmt.Sprintf(`{"name":"f","type":"reg","size":7,"digest":"%s"}`, sha256Of("content"))))
	b := testBuilder(t)
	if err := zstdChunkedIndex(t.Context(), s, b); err != nil {
		t.Fatal(err)
	}
	if b.spans[0].packed != int64(len(body)) || builtTree(t, s, b)["f"].content != "content" {
		t.Errorf("the span is %+v of %d bytes", b.spans[0], len(body))
	}
}

func TestZstdChunkedRefuses(t *testing.T) {
	toc := tocOf(`{"name":"d","type":"dir"}`)
	layer := func(change func(s *Source, annotations map[string]string)) *Source {
		s := chunkedLayer(t, containersDialect, make([]byte, 10), toc)
		change(s, s.Annotations)
		return s
	}
	tests := map[string]*Source{
		"two formats": layer(func(_ *Source, a map[string]string) { a[stargzTOCDigest] = sha256Of(toc) }),
		"no checksum": layer(func(_ *Source, a map[string]string) { delete(a, containersChecksum) }),
		"the checksum of another dialect": layer(func(_ *Source, a map[string]string) {
			a[chunkedChecksum] = a[containersChecksum]
			delete(a, containersChecksum)
		}),
		"the checksum of the unpacked table": layer(func(_ *Source, a map[string]string) { a[containersChecksum] = sha256Of(toc) }),
		"a bit changed":                      layer(func(s *Source, _ map[string]string) { s.Blob.(*memoryBlob).data[30] ^= 1 }),
		"not zstd": layer(func(s *Source, a map[string]string) {
			s.Blob = &memoryBlob{data: make([]byte, s.Size)}
			a[containersPosition], a[containersChecksum] = "8:4:4:1", sha256Of("\x00\x00\x00\x00")
		}),
	}
	for _, position := range []string{
		":::", "18", "18:10:10", "18:10:10:2", "18:10:10:1:1", "-1:10:10:1", "7:1:1:1", "18:0:0:1", "a:b:c:1", " 18:1:1:1",
		"1000:1:1:1", "18:9223372036854775807:1:1", "9223372036854775807:9223372036854775807:1:1", "18446744073709551616:1:1:1",
		fmt.Sprintf("18:1:%d:1", maxTOC+1),
	} {
		tests["position "+position] = layer(func(_ *Source, a map[string]string) { a[containersPosition] = position })
	}
	for name, s := range tests {
		if err := zstdChunkedIndex(t.Context(), s, testBuilder(t)); !errors.Is(err, errUntrusted) {
			t.Errorf("%s: index = %v, want errUntrusted", name, err)
		}
	}
	large := layer(func(s *Source, a map[string]string) {
		a[containersPosition] = fmt.Sprintf("18:%d:1:1", maxPackedTOC+1)
		s.Size = 1 << 40
	})
	if err := zstdChunkedIndex(t.Context(), large, testBuilder(t)); !errors.Is(err, errUntrusted) || len(large.Blob.(*memoryBlob).read()) > 0 {
		t.Errorf("index of a table too large = %v", err)
	}
	// The table is inflated no further than it says.
	short := chunkedLayer(t, containersDialect, nil, toc)
	short.Annotations[containersPosition] = fmt.Sprintf("8:%d:%d:1", short.Size-8, len(toc)-1)
	if err := zstdChunkedIndex(t.Context(), short, testBuilder(t)); !errors.Is(err, errUntrusted) {
		t.Errorf("index of a table longer than it says = %v", err)
	}
}

func TestZstdChunkedBlobErrors(t *testing.T) {
	checkCause(t, chunkedLayer(t, containersDialect, nil, tocOf()), zstdChunkedIndex)
}

func FuzzChunkedPosition(f *testing.F) {
	for _, position := range []string{"8:10:20:1", "18:0:0:1", "9223372036854775807:1:1:1", "1:2:3"} {
		f.Add(position)
	}
	f.Fuzz(func(t *testing.T, position string) {
		const layer = 1 << 20
		at, packed, size, err := parseChunkedPosition(position, layer)
		if err == nil && (at < skippableHeader || packed <= 0 || at+packed > layer || size < 0 || size > maxTOC) {
			t.Errorf("%q is %d, %d, %d", position, at, packed, size)
		}
		if err != nil && !errors.Is(err, errUntrusted) {
			t.Errorf("%q: %v", position, err)
		}
	})
}
