package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// estargzLayer is an eStargz layer with a table of contents: body, the table's
// member and the footer.
func estargzLayer(t testing.TB, body []byte, toc string) *Source {
	t.Helper()
	var member bytes.Buffer
	z := gzip.NewWriter(&member)
	w := tar.NewWriter(z)
	if err := w.WriteHeader(&tar.Header{Name: stargzTOCName, Size: int64(len(toc))}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, toc); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	layer := slices.Concat(body, member.Bytes(), stargzFooter(int64(len(body))))
	return memorySource(layer, map[string]string{stargzTOCDigest: sha256Of(toc)})
}

func sha256Of(s string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(s))) }

// gzipFooter is an empty member with that extra field.
func gzipFooter(extra string) []byte {
	header := fmt.Sprintf("\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\xff%c\x00%s", len(extra), extra)
	return []byte(header + "\x01\x00\x00\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00")
}

func stargzFooter(at int64) []byte { return gzipFooter(fmt.Sprintf("SG\x16\x00%016xSTARGZ", at)) }

func oldStargzFooter(at int64) []byte { return gzipFooter(fmt.Sprintf("%016xSTARGZ", at)) }

func gzipOf(t testing.TB, data string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestEStargzFixtures(t *testing.T) {
	for _, test := range []struct {
		image  string
		layers []int // whose names are UTF-8
	}{{"base-esgz", []int{1, 2}}, {"base-esgz-chunks", []int{1, 2}}, {"buildkit-esgz", []int{0, 1}}} {
		sources := imageSources(t, test.image)
		for _, i := range test.layers {
			t.Run(fmt.Sprint(test.image, " ", i), func(t *testing.T) {
				s := sources[i]
				blob := s.Blob.(*memoryBlob)
				b := testBuilder(t)
				if err := estargzIndex(t.Context(), s, b); err != nil {
					t.Fatal(err)
				}
				if reads := blob.read(); len(reads) != 1 || reads[0].length > 64<<10 {
					t.Errorf("the index took the reads %v", reads)
				}
				sameTree(t, builtTree(t, s, b), wholeSeconds(tarTree(t, blob.data, keepAll)))
			})
		}
	}
}

// The first layer of base has names that aren't UTF-8: its table is refused, and
// right in all else.
func TestEStargzLostNames(t *testing.T) {
	for _, image := range []string{"base-esgz", "base-esgz-chunks"} {
		s := imageSources(t, image)[0]
		if err := estargzIndex(t.Context(), s, testBuilder(t)); !errors.Is(err, errUntrusted) {
			t.Errorf("%s: index = %v, want errUntrusted", image, err)
		}
		packed, at, err := estargzTOC(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		r, err := unpackEStargzTOC(packed)
		if err != nil {
			t.Fatal(err)
		}
		toc, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		b := testBuilder(t)
		b.hide = stargzNames
		reader := tocReader{b: b, codec: codecGzip, limit: at}
		if err := reader.read(bytes.NewReader(withoutLost(t, toc))); err != nil {
			t.Fatal(err)
		}
		sameTree(t, builtTree(t, s, b), wholeSeconds(tarTree(t, s.Blob.(*memoryBlob).data, keepUTF8)))
	}
}

// One member may hold several files, which innerOffset tells apart.
func TestEStargzInnerOffset(t *testing.T) {
	body := slices.Concat(gzipOf(t, "header"), gzipOf(t, "onetwo"), gzipOf(t, "end"))
	at := len(gzipOf(t, "header"))
	toc := tocOf(
		fmt.Sprintf(`{"name":"1","type":"reg","size":3,"offset":%d,"digest":"%s"}`, at, sha256Of("one")),
		fmt.Sprintf(`{"name":"2","type":"reg","size":3,"offset":%d,"innerOffset":3,"digest":"%s"}`, at, sha256Of("two")),
		fmt.Sprintf(`{"name":".prefetch.landmark","type":"reg","size":1,"offset":%d,"digest":"%s"}`, at, sha256Of("o")),
	)
	s := estargzLayer(t, body, toc)
	b := testBuilder(t)
	if err := estargzIndex(t.Context(), s, b); err != nil {
		t.Fatal(err)
	}
	files := builtTree(t, s, b)
	if len(files) != 2 || files["1"].content != "one" || files["2"].content != "two" {
		t.Errorf("files are %+v", files)
	}
}

// A table that doesn't fit in the first read takes one more, of the rest alone.
func TestEStargzLargeTOC(t *testing.T) {
	var entries []string
	for i := range 3000 {
		entries = append(entries, fmt.Sprintf(`{"name":"%x","type":"dir"}`, sha256.Sum256(fmt.Append(nil, i))))
	}
	s := estargzLayer(t, make([]byte, 100), tocOf(entries...))
	b := testBuilder(t)
	if err := estargzIndex(t.Context(), s, b); err != nil {
		t.Fatal(err)
	}
	if n := len(recorded(t, b)); n != 3000 {
		t.Errorf("%d entries", n)
	}
	start := s.Size - 64<<10
	want := []blobRange{{start, 64 << 10}, {100, start - 100}}
	if reads := s.Blob.(*memoryBlob).read(); !slices.Equal(reads, want) {
		t.Errorf("reads are %v, want %v", reads, want)
	}
}

// Of a large layer more is read at first, and its table is in that.
func TestEStargzTail(t *testing.T) {
	for size, want := range map[int64]int64{100: 100, 1 << 20: 64 << 10, 96 << 20: 768 << 10, 10 << 30: 1 << 20} {
		if got := estargzTail(size); got != want {
			t.Errorf("of %d bytes the last %d are read, want %d", size, got, want)
		}
	}
	var entries []string
	for i := range 3000 {
		entries = append(entries, fmt.Sprintf(`{"name":"%x","type":"dir"}`, sha256.Sum256(fmt.Append(nil, i))))
	}
	s := estargzLayer(t, make([]byte, 24<<20), tocOf(entries...))
	if err := estargzIndex(t.Context(), s, testBuilder(t)); err != nil {
		t.Fatal(err)
	}
	at, ok := s.Table()
	want := []blobRange{{at.Offset, at.Length}}
	if reads := s.Blob.(*memoryBlob).read(); !ok || !slices.Equal(reads, want) {
		t.Errorf("reads are %v, want %v", reads, want)
	}
}

func TestEStargzOldFooter(t *testing.T) {
	s := estargzLayer(t, nil, tocOf(`{"name":"d","type":"dir"}`))
	data := s.Blob.(*memoryBlob).data
	data = slices.Concat(data[:len(data)-estargzFooter], oldStargzFooter(0))
	b := testBuilder(t)
	if err := estargzIndex(t.Context(), memorySource(data, s.Annotations), b); err != nil || recorded(t, b)["d"].typ != TypeDir {
		t.Errorf("index = %v, %v", err, recorded(t, b))
	}
}

func TestEStargzRefuses(t *testing.T) {
	good := estargzLayer(t, make([]byte, 100), tocOf(`{"name":"d","type":"dir"}`))
	data := good.Blob.(*memoryBlob).data
	member := data[:len(data)-estargzFooter]
	flipped := bytes.Clone(data)
	flipped[130] ^= 0x10
	inTar := func(name string, size int64) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if err := w.WriteHeader(&tar.Header{Name: name, Size: size}); err != nil {
			t.Fatal(err)
		}
		return slices.Concat(gzipOf(t, b.String()), stargzFooter(0))
	}
	tests := map[string]*Source{
		"no annotation":       memorySource(data, nil),
		"another digest":      memorySource(data, map[string]string{stargzTOCDigest: sha256Of("")}),
		"a digest cut":        memorySource(data, map[string]string{stargzTOCDigest: "sha256:00"}),
		"an empty layer":      memorySource(nil, good.Annotations),
		"a short layer":       memorySource(data[:10], good.Annotations),
		"no footer":           memorySource(member, good.Annotations),
		"half a footer":       memorySource(data[:len(data)-20], good.Annotations),
		"a footer alone":      memorySource(stargzFooter(0), good.Annotations),
		"a table outside":     memorySource(slices.Concat(member, stargzFooter(int64(len(data)))), good.Annotations),
		"a table far off":     memorySource(slices.Concat(member, stargzFooter(1<<62)), good.Annotations),
		"an offset not hex":   memorySource(slices.Concat(member, gzipFooter("SG\x16\x00-00000000000000aSTARGZ")), good.Annotations),
		"an offset too large": memorySource(slices.Concat(member, gzipFooter("SG\x16\x00ffffffffffffffffSTARGZ")), good.Annotations),
		"another magic":       memorySource(slices.Concat(member, gzipFooter(fmt.Sprintf("SG\x16\x00%016xSTARGA", 100))), good.Annotations),
		"an external table":   memorySource(slices.Concat(member, gzipFooter("SG\x11\x00STARGZEXTERNALTOC")), good.Annotations),
		"not gzip there":      memorySource(slices.Concat(member, stargzFooter(3)), good.Annotations),
		"a bit changed":       memorySource(flipped, good.Annotations),
		"another name":        memorySource(inTar("index.json", 0), good.Annotations),
		"a table too large":   memorySource(inTar(stargzTOCName, maxTOC+1), good.Annotations),
		"a table cut":         memorySource(inTar(stargzTOCName, 100), good.Annotations),
		"not a tar":           memorySource(slices.Concat(gzipOf(t, "{}"), stargzFooter(0)), good.Annotations),
		"not a table":         estargzLayer(t, nil, `"SG"`),
	}
	for n := 1; n < len(data); n += 7 {
		tests[fmt.Sprint("cut at ", n)] = memorySource(data[:n], good.Annotations)
	}
	for name, s := range tests {
		if err := estargzIndex(t.Context(), s, testBuilder(t)); !errors.Is(err, errUntrusted) {
			t.Errorf("%s: index = %v, want errUntrusted", name, err)
		}
	}
	// A packed table that is too large isn't fetched.
	large := memorySource(data, good.Annotations)
	large.Size = 1 << 40
	large.Blob = &sparseBlob{size: large.Size, tail: data}
	if err := estargzIndex(t.Context(), large, testBuilder(t)); !errors.Is(err, errUntrusted) {
		t.Errorf("index of a table of 1 TiB = %v", err)
	}
}

// Headers of headers say nothing of a file yet, and are small when packed: they
// are bounded too.
func TestEStargzHeadersAlone(t *testing.T) {
	var b bytes.Buffer
	if err := tar.NewWriter(&b).WriteHeader(&tar.Header{Format: tar.FormatGNU, Name: strings.Repeat("x", 1<<19)}); err != nil {
		t.Fatal(err)
	}
	longName := b.String()[:tarBlock+1<<19+tarBlock]
	packed := bytes.Repeat(gzipOf(t, longName), (maxTOC+maxTOCHeaders)/len(longName)+2)
	b.Reset()
	if err := tar.NewWriter(&b).WriteHeader(&tar.Header{Format: tar.FormatUSTAR, Name: stargzTOCName}); err != nil {
		t.Fatal(err)
	}
	toc := gzipOf(t, b.String())
	if _, err := unpackEStargzTOC(slices.Concat(gzipOf(t, ""), toc)); err != nil {
		t.Fatal(err)
	}
	if _, err := unpackEStargzTOC(slices.Concat(packed, toc)); !errors.Is(err, errUntrusted) || !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("TOC = %v", err)
	}
}

func TestEStargzBlobErrors(t *testing.T) {
	checkCause(t, estargzLayer(t, nil, tocOf()), estargzIndex)
	// A blob that is shorter than it should be isn't the table's fault.
	s := estargzLayer(t, nil, tocOf())
	s.Size += 100
	if err := estargzIndex(t.Context(), s, testBuilder(t)); !errors.Is(err, io.EOF) || errors.Is(err, errUntrusted) {
		t.Errorf("index of a blob that ends early = %v", err)
	}
}

// The table is read once: after that the index that was made of it is there.
func TestEStargzKept(t *testing.T) {
	s := imageSources(t, "base-esgz")[1]
	for i, want := range []int{1, 0} {
		l, err := Open(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if reads := s.Blob.(*memoryBlob).read(); len(reads) != want {
			t.Errorf("open %d took the reads %v", i, reads)
		}
	}
	if asked := s.Store.(*memoryStore).counts(); asked.puts != 1 || asked.derives != 0 {
		t.Errorf("the store was asked %+v", asked)
	}
}

func TestIsEStargz(t *testing.T) {
	for name, want := range map[string]bool{"base-esgz": true, "base-zstdchunked-stargz": false, "base-zstdchunked-podman": false, "base-gzip": false} {
		if got := isEStargz(imageSources(t, name)[0]); got != want {
			t.Errorf("isEStargz(%s) = %v", name, got)
		}
	}
}

func FuzzEStargz(f *testing.F) {
	for _, toc := range []string{tocOf(), tocOf(`{"name":"d","type":"dir"}`), ``} {
		f.Add(estargzLayer(f, []byte("body"), toc).Blob.(*memoryBlob).data)
	}
	f.Add(slices.Concat(gzipOf(f, strings.Repeat("\x00", 1024)), oldStargzFooter(0)))
	f.Add(gzipFooter("SG\x11\x00STARGZEXTERNALTOC"))
	f.Fuzz(func(t *testing.T, layer []byte) {
		if at, length, err := parseEStargzFooter(layer); err == nil && (at < 0 || length > int64(len(layer))) {
			t.Errorf("footer of %d bytes, table at %d", length, at)
		}
		// What is behind the digest is read whatever it is.
		s := memorySource(layer, nil)
		packed, at, err := estargzTOC(t.Context(), s)
		if err != nil {
			if !errors.Is(err, errUntrusted) {
				t.Errorf("TOC = %v", err)
			}
			return
		}
		if at < 0 || at+int64(len(packed)) > s.Size {
			t.Errorf("table of %d bytes at %d of %d", len(packed), at, s.Size)
		}
		if toc, err := unpackEStargzTOC(packed); err == nil {
			_, _ = io.Copy(io.Discard, toc)
		}
	})
}
