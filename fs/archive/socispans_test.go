package archive

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// Of the ten spans of the first layer some begin within a byte. Each can be
// inflated by itself, whatever is before it.
func TestSOCISpans(t *testing.T) {
	s := imageSources(t, "base-soci-v1")[0]
	b := testBuilder(t)
	if err := sociIndex(s, b); err != nil {
		t.Fatal(err)
	}
	tarball := unpackLayer(t, s.Blob.(*memoryBlob).data)
	within := 0
	for i, sp := range slices.Backward(b.spans) {
		data, err := s.inflate(t.Context(), sp)
		if err != nil || !bytes.Equal(data, tarball[sp.stream:sp.stream+sp.length]) {
			t.Errorf("span %d: %v", i, err)
		}
		if sp.bits > 0 {
			within++
		}
		sp.digest[0] ^= 1
		if _, err := s.inflate(t.Context(), sp); !errors.Is(err, ErrDigest) {
			t.Errorf("span %d with another digest: %v", i, err)
		}
	}
	if within != 6 {
		t.Errorf("%d spans begin within a byte", within)
	}
}

// Version 1 of the checkpoints' blob is version 2 without the first.
func TestSOCIZinfoVersions(t *testing.T) {
	info := newFlatbuffer(imageSources(t, "base-soci-v1")[0].ZTOC).root().table(ztocCompression)
	raw := info.bytes(ztocCheckpoints)
	second, err := parseZinfo(raw)
	if err != nil {
		t.Fatal(err)
	}
	first, err := parseZinfo(slices.Concat(raw[:zinfoHeader], raw[zinfoHeader+zinfoCheckpoint:]))
	if err != nil {
		t.Fatal(err)
	}
	if first.count != 10 || !first.implied || second.count != 10 || second.implied {
		t.Fatalf("%d checkpoints, implied %v; %d, implied %v", first.count, first.implied, second.count, second.implied)
	}
	for i := range 10 {
		a, b := first.point(i), second.point(i)
		if a.in != b.in || a.out != b.out || a.bits != b.bits || !bytes.Equal(a.window, b.window) {
			t.Errorf("checkpoint %d: %d, %d, %d and %d, %d, %d", i, a.in, a.out, a.bits, b.in, b.out, b.bits)
		}
	}
}

// Where the stream's last block holds nothing, the last span doesn't either.
func TestSOCIEmptyLastSpan(t *testing.T) {
	s, z := sociLayer(t)
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, strings.Repeat("x", 512)+"content"+strings.Repeat("\x00", 4096-519)); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	at := b.Len()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	*s = *memorySource(b.Bytes(), nil)
	z.packed, z.maxSpan = s.Size, 1
	z.checkpoints = checkpoints(2, checkpoint(10, 0, 0), checkpoint(int64(at), 4096, 0))
	z.digests = []string{sha256Of(b.String()[10:at]), sha256Of(b.String()[at:])}
	s.ZTOC = z.encode()
	l, err := open(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if l.index.layout != layoutSpans || len(s.Blob.(*memoryBlob).read()) > 0 {
		t.Error("the zTOC isn't used")
	}
	mustShow(t, applied(t, How{Raw: true}, l), "f=content")
}
