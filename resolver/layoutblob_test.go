package resolver

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestLayoutBlob(t *testing.T) {
	dir := layoutOf(t, nil, string(alphabet))
	l := openLayout(t, dir)
	desc := ocispec.Descriptor{Digest: digest.FromBytes(alphabet), Size: 26}
	for _, test := range []struct {
		off, n int64
		want   string
	}{
		{0, 26, string(alphabet)}, {3, 4, "defg"}, {25, 1, "z"}, {0, 0, ""}, {26, 0, ""},
	} {
		if got, at, err := fetch(l.Blob(desc), test.off, test.n); got != test.want || at != test.off || err != nil {
			t.Errorf("%d+%d: %q from %d, %v", test.off, test.n, got, at, err)
		}
	}
	for _, outside := range [][2]int64{{-1, 1}, {0, -1}, {0, 27}, {26, 1}, {27, 0}, {1 << 62, 1 << 62}} {
		if got, _, err := fetch(l.Blob(desc), outside[0], outside[1]); err == nil {
			t.Errorf("%v: %q", outside, got)
		}
	}
	// A file that becomes shorter while it is read.
	body, _, err := l.Blob(desc).Fetch(t.Context(), 3, 20, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if err := os.Truncate(filepath.Join(dir, BlobPath(desc.Digest)), 10); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(body)
	if string(got) != "defghij" {
		t.Errorf("%q", got)
	}
	wantIs(t, err, io.ErrUnexpectedEOF)
}

func TestLayoutBlobData(t *testing.T) {
	l := openLayout(t, layoutOf(t, nil, string(alphabet)))
	desc := ocispec.Descriptor{Digest: digest.FromString("other"), Size: 5, Data: []byte("other")}
	if got, at, err := fetch(l.Blob(desc), 1, 3); got != "the" || at != 1 || err != nil {
		t.Errorf("%q from %d, %v: it has no file", got, at, err)
	}
	desc = ocispec.Descriptor{Digest: digest.FromBytes(alphabet), Size: 26, Data: bytes.ToUpper(alphabet)}
	if got, _, err := fetch(l.Blob(desc), 1, 3); got != "bcd" || err != nil {
		t.Errorf("%q, %v: the data is something else", got, err)
	}
}

func TestLayoutSizesThatLie(t *testing.T) {
	lying := strings.Replace(described(typeManifest, plainManifest, named("v1")), fmt.Sprint(len(plainManifest)), "5", 1)
	l := openLayout(t, layoutOf(t, []string{lying}, plainManifest, string(alphabet)))
	if desc, err := l.Resolve(t.Context(), "v1"); err == nil || !strings.Contains(err.Error(), "5, is wrong") {
		t.Errorf("%+v, %v", desc, err)
	}
	for _, size := range []int64{25, 27, 1 << 62} {
		content, _, err := fetch(l.Blob(ocispec.Descriptor{Digest: digest.FromBytes(alphabet), Size: size}), 0, 5)
		if err == nil || !strings.Contains(err.Error(), "is wrong") {
			t.Errorf("size %d: %q, %v", size, content, err)
		}
	}
}
