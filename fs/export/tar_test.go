package export

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/resolver"
)

// tarContents are what the planned tars hold, by the members' places.
func tarContents(t *testing.T) (*Closure, [][]byte) {
	t.Helper()
	contents := [][]byte{[]byte("{}"), nil, []byte("layer"), bytes.Repeat([]byte("0123456789abcdef"), 96), bytes.Repeat([]byte{7}, tarBlock)}
	files, err := files(&resolver.Manifest{
		Digest: digest.FromBytes(contents[0]), MediaType: ocispec.MediaTypeImageManifest, Size: 2, ArtifactType: "application/vnd.example",
	}, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &Closure{Files: files, Created: time.Date(2021, 2, 3, 4, 5, 6, 7, time.UTC)}
	for i, content := range contents {
		algorithm := digest.SHA256
		if i == 3 {
			algorithm = digest.SHA512 // a name that a ustar header has no room for
		}
		c.Members = append(c.Members, Member{Digest: algorithm.FromBytes(content), Size: int64(len(content)), Manifest: i == 0})
	}
	return c, contents
}

// TestTar compares a planned tar, read at once and in parts from any offset,
// with what archive/tar reads in it.
func TestTar(t *testing.T) {
	c, contents := tarContents(t)
	p, err := c.Tar()
	if err != nil {
		t.Fatal(err)
	}
	read := func(b []byte, i int, off int64) error {
		copy(b, contents[i][off:][:len(b)])
		return nil
	}
	whole := make([]byte, p.size)
	if err := p.read(whole, 0, read); err != nil {
		t.Fatal(err)
	}
	for off := range p.size {
		for _, n := range []int64{1, 511, 1500} {
			part := bytes.Repeat([]byte{0xff}, int(min(n, p.size-off)))
			if err := p.read(part, off, read); err != nil || !bytes.Equal(part, whole[off:][:len(part)]) {
				t.Fatalf("%d bytes at %d differ (%v)", len(part), off, err)
			}
		}
	}

	names := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(whole)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(c.Created.Truncate(time.Second)) {
			t.Errorf("%s has the time %s", h.Name, h.ModTime)
		}
		if names[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
	for i, m := range c.Members {
		if got, ok := names[resolver.BlobPath(m.Digest)]; !ok || !bytes.Equal(got, contents[i]) {
			t.Errorf("member %d is %q", i, got)
		}
	}
	for _, name := range []string{"oci-layout", "index.json", "blobs/", "blobs/sha256/", "blobs/sha512/"} {
		if _, ok := names[name]; !ok {
			t.Errorf("there is no %s", name)
		}
	}
	if got := string(names["index.json"]); !strings.Contains(got, `"artifactType":"application/vnd.example"`) {
		t.Errorf("index.json is %s", got)
	}
	if len(names) != 5+len(contents) {
		t.Errorf("it has %d entries", len(names))
	}
}

// TestTarOfLargeBlob has a blob whose size a ustar header has no room for.
func TestTarOfLargeBlob(t *testing.T) {
	const large = 9 << 30
	c, _ := tarContents(t)
	blob := Member{Digest: digest.FromString("large"), Size: large}
	c.Members = []Member{blob, c.Members[0]}
	p, err := c.Tar()
	if err != nil {
		t.Fatal(err)
	}
	at := func(off int64) *tar.Header {
		t.Helper()
		part := make([]byte, 3*tarBlock)
		if err := p.read(part, off, func(b []byte, _ int, _ int64) error { clear(b); return nil }); err != nil {
			t.Fatal(err)
		}
		h, err := tar.NewReader(bytes.NewReader(part)).Next()
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	end := int64(0)
	for _, piece := range p.pieces {
		if piece.member == 1 {
			if h := at(piece.at - 3*tarBlock); h.Name != resolver.BlobPath(blob.Digest) || h.Size != large {
				t.Errorf("before the large blob stands the header of %s, %d bytes", h.Name, h.Size)
			}
			end = piece.at + large
		}
	}
	if h := at(end); h.Name != resolver.BlobPath(c.Members[1].Digest) {
		t.Errorf("after the large blob stands the header of %s", h.Name)
	}
}

// TestTarFails has a member that can't be read.
func TestTarFails(t *testing.T) {
	c, _ := tarContents(t)
	p, err := c.Tar()
	if err != nil {
		t.Fatal(err)
	}
	wrong := errors.New("wrong digest")
	err = p.read(make([]byte, p.size), 0, func([]byte, int, int64) error { return wrong })
	if !errors.Is(err, wrong) {
		t.Errorf("reading all gives %v", err)
	}
}
