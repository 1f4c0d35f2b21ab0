package resolver

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
)

// tarred makes a tar of headers and contents in turn. The size is the
// content's.
func tarred(t testing.TB, entries ...any) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for i := 0; i < len(entries); i += 2 {
		h, content := entries[i].(tar.Header), entries[i+1].(string)
		h.Size, h.Mode = int64(len(content)), 0o644
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func regular(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg} }

func linked(typ byte, name, target string) tar.Header {
	return tar.Header{Name: name, Typeflag: typ, Linkname: target}
}

// layoutTarred is a tar of a layout with no manifests, and of entries.
func layoutTarred(t testing.TB, entries ...any) []byte {
	return tarred(t, append([]any{regular("oci-layout"), layoutVersion, regular("index.json"), emptyIndex}, entries...)...)
}

// A memoryTar is a tar in memory.
type memoryTar struct{ *bytes.Reader }

func (memoryTar) Close() error { return nil }

func openTarred(t testing.TB, content []byte) (*Layout, error) {
	files, err := newLayoutTar(t.Context(), memoryTar{bytes.NewReader(content)})
	if err != nil {
		return nil, err
	}
	return newLayout(t.Context(), "x.tar", files, slog.New(slog.DiscardHandler))
}

func TestLayoutTarEntries(t *testing.T) {
	d := digest.FromBytes(alphabet)
	name, content := BlobPath(d), string(alphabet)
	var loop []any
	for i := range maxTarLinks + 1 {
		loop = append(loop, linked(tar.TypeSymlink, fmt.Sprint(i), fmt.Sprint(i+1)), "")
	}
	loop = append(loop, regular(fmt.Sprint(maxTarLinks+1)), content)
	tests := []struct {
		name    string
		entries []any
		want    string // "" is none
	}{
		{"file", []any{regular(name), content}, content},
		{"./", []any{regular("./" + name), content}, content},
		{"/", []any{regular("/" + name), content}, content},
		{"//", []any{regular(".//blobs/./x/../sha256/" + d.Encoded()), content}, content},
		{"long name", []any{regular(strings.Repeat("x/../", 60) + name), content}, content},
		{"the last", []any{regular(name), strings.ToUpper(content), regular(name), content}, content},
		{"replaced by a directory", []any{regular(name), content, tar.Header{Name: name, Typeflag: tar.TypeDir}, ""}, ""},
		{"../", []any{regular("../" + name), content}, ""},
		{"x/../../", []any{regular("x/../../" + name), content}, ""},
		{"hard link", []any{regular("x"), content, linked(tar.TypeLink, name, "./x"), ""}, content},
		{"hard link to what is replaced", []any{regular("x"), content, linked(tar.TypeLink, name, "x"), "", regular("x"), "y"}, content},
		{"hard link to what comes later", []any{linked(tar.TypeLink, name, "x"), "", regular("x"), content}, ""},
		{"hard link that leads out", []any{linked(tar.TypeLink, name, "../x"), ""}, ""},
		{"link", []any{regular("blobs/x"), content, linked(tar.TypeSymlink, name, "../x"), ""}, content},
		{"link to what comes later", []any{linked(tar.TypeSymlink, name, "x"), "", regular("blobs/sha256/x"), content}, content},
		{"hard link to a link", []any{regular("x"), content, linked(tar.TypeSymlink, "d/y", "../x"), "", linked(tar.TypeLink, name, "d/y"), ""}, content},
		{"link that leads out", []any{regular("x"), content, linked(tar.TypeSymlink, name, "../../../x"), ""}, ""},
		{"link from the root", []any{regular("x"), content, regular("blobs/sha256/x"), content, linked(tar.TypeSymlink, name, "/x"), ""}, ""},
		{"link to nothing", []any{linked(tar.TypeSymlink, name, "x"), ""}, ""},
		{"link to itself", []any{linked(tar.TypeSymlink, name, d.Encoded()), ""}, ""},
		{"links in a loop", []any{linked(tar.TypeSymlink, name, "../../x"), "", linked(tar.TypeSymlink, "x", name), ""}, ""},
		{"too many links", append(slices.Clip(loop), linked(tar.TypeSymlink, name, "../../0"), ""), ""},
		{"many links", append(slices.Clip(loop), linked(tar.TypeSymlink, name, "../../2"), ""), content},
		{"pipe", []any{tar.Header{Name: name, Typeflag: tar.TypeFifo}, ""}, ""},
	}
	for _, test := range tests {
		l, err := openTarred(t, layoutTarred(t, test.entries...))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		got, _, err := fetch(l.Blob(ocispec.Descriptor{Digest: d, Size: 26}), 0, 26)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s: %q, %v; want %q", test.name, got, err, test.want)
		}
	}
}

// retyped changes the type of the first entry of a tar.
func retyped(content []byte, typ byte) []byte {
	const at, sum = 156, 148 // of the type and the checksum, in a header
	content[at] = typ
	copy(content[sum:], "        ")
	total := 0
	for _, b := range content[:512] {
		total += int(b)
	}
	copy(content[sum:], fmt.Sprintf("%06o\x00 ", total))
	return content
}

// A sparse file's bytes don't stand in the tar as they are: it is left out, and
// so is what it replaces.
func TestLayoutTarSparse(t *testing.T) {
	const records = "23 GNU.sparse.map=0,26\n22 GNU.sparse.size=26\n26 GNU.sparse.numblocks=1\n"
	d := digest.FromBytes(alphabet)
	file := tarred(t, regular(BlobPath(d)), string(alphabet))[:1024]
	pax := append(retyped(tarred(t, regular("pax"), records)[:1024], 'x'), file...)
	old := retyped(bytes.Clone(file), tar.TypeGNUSparse)
	copy(old[257:], "ustar  \x00") // GNU's magic, and a map that is empty
	copy(old[483:], "00000000032\x00")
	old = retyped(old, tar.TypeGNUSparse)
	for name, sparse := range map[string][]byte{"pax": pax, "old GNU": old} {
		content := slices.Concat(file, sparse, layoutTarred(t))
		h := tar.NewReader(bytes.NewReader(content))
		_, err := h.Next()
		second, err2 := h.Next()
		if err := errors.Join(err, err2); err != nil || second.Name != BlobPath(d) || !isSparse(second) {
			t.Fatalf("%s: %+v, %v", name, second, err)
		}
		l, err := openTarred(t, content)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := l.BlobSize(t.Context(), d); !errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestLayoutTarThatIsNone(t *testing.T) {
	whole := layoutTarred(t, regular("x"), strings.Repeat("x", 5000))
	var gzipped, xz, zstdFrame bytes.Buffer
	w := gzip.NewWriter(&gzipped)
	_, err := w.Write(whole)
	z, err2 := zstd.NewWriter(&zstdFrame)
	if err := errors.Join(err, err2, w.Close()); err != nil {
		t.Fatal(err)
	}
	zstdFrame.Write(z.EncodeAll(whole, nil))
	xz.WriteString("\xfd7zXZ\x00...")
	skippable := append([]byte("\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"), zstdFrame.Bytes()...)
	for name, test := range map[string]struct {
		content []byte
		says    string
		is      error
	}{
		"gzip":                     {gzipped.Bytes(), "gzip -d", errdef.ErrUnsupported},
		"zstd":                     {zstdFrame.Bytes(), "zstd -d", errdef.ErrUnsupported},
		"zstd, a skippable frame":  {skippable, "zstd -d", errdef.ErrUnsupported},
		"xz":                       {xz.Bytes(), "xz -d", errdef.ErrUnsupported},
		"empty":                    {nil, "oci-layout", errdef.ErrUnsupported},
		"zeros":                    {make([]byte, 10_240), "oci-layout", errdef.ErrUnsupported},
		"text":                     {bytes.Repeat(alphabet, 100), "no tar", errdef.ErrUnsupported},
		"other tar":                {tarred(t, regular("x"), "x"), "oci-layout and index.json, as an OCI image layout has, nor docker save's manifest.json", errdef.ErrUnsupported},
		"layout without index":     {tarred(t, regular("oci-layout"), layoutVersion), "index.json", errdef.ErrUnsupported},
		"truncated in a header":    {whole[:2048+100], "entry", io.ErrUnexpectedEOF},
		"truncated in the content": {whole[:len(whole)-3000], "entry", io.ErrUnexpectedEOF},
	} {
		_, err := openTarred(t, test.content)
		if err == nil || !strings.Contains(err.Error(), test.says) || !errors.Is(err, test.is) {
			t.Errorf("%s: error %v; want %v that says %q", name, err, test.is, test.says)
		}
	}
}

func TestLayoutTarIsBounded(t *testing.T) {
	header := tarred(t, regular("x"), "")[:512]
	whole := layoutTarred(t)
	many := func(n int) []byte { return append(bytes.Repeat(header, n), whole...) }
	if _, err := openTarred(t, many(maxTarEntries-2)); err != nil {
		t.Errorf("as many entries as there may be: %v", err)
	}
	_, err := openTarred(t, many(maxTarEntries-1))
	wantIs(t, err, errdef.ErrSizeExceedsLimit)

	long := tarred(t, tar.Header{Name: strings.Repeat("x", 1<<19), Typeflag: tar.TypeReg, Format: tar.FormatGNU}, "")
	long = long[:len(long)-1024] // without the end
	_, err = openTarred(t, append(bytes.Repeat(long, maxTarNames>>19), whole...))
	wantIs(t, err, errdef.ErrSizeExceedsLimit)
}

// A tar that becomes shorter is an error, not less content.
func TestLayoutTarTruncatedLater(t *testing.T) {
	content := strings.Repeat("x", 5000)
	path := written(t, layoutTarred(t, regular(BlobPath(digest.FromString(content))), content))
	l := openLayout(t, path)
	if err := os.Truncate(path, 4000); err != nil {
		t.Fatal(err)
	}
	desc := ocispec.Descriptor{Digest: digest.FromString(content), Size: 5000}
	_, _, err := fetch(l.Blob(desc), 0, 5000)
	wantIs(t, err, io.ErrUnexpectedEOF)
	_, err = l.Manifest(t.Context(), desc.Digest)
	wantIs(t, err, io.ErrUnexpectedEOF)
}

func FuzzLayoutTar(f *testing.F) {
	d := digest.FromBytes(alphabet)
	manifest := fmt.Sprintf(`{"schemaVersion":2,"config":%s,"layers":[]}`, described("application/x", string(alphabet)))
	f.Add(tarred(f, regular("./oci-layout"), layoutVersion, regular("index.json"), indexOf(described(typeManifest, manifest, named("v1"))),
		regular(BlobPath(digest.FromString(manifest))), manifest, regular("x"), string(alphabet), linked(tar.TypeSymlink, BlobPath(d), "../../x"), ""))
	f.Add(layoutTarred(f, linked(tar.TypeLink, "a", "../x"), "", linked(tar.TypeSymlink, "b", "b"), ""))
	f.Add(tarred(f, regular("manifest.json"), `[{"Config":"c","RepoTags":["x:v1"],"Layers":["l"]}]`,
		regular("c"), `{"rootfs":{"diff_ids":["`+d.String()+`"]}}`, regular("l"), string(alphabet)))
	f.Add([]byte("\x1f\x8b\x08"))
	f.Fuzz(func(t *testing.T, content []byte) {
		l, err := openTarred(t, content)
		if err != nil {
			return
		}
		walkLayout(t, l)
	})
}
