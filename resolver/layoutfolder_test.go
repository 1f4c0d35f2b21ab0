package resolver

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
)

// What isn't a regular file of the folder is no blob: a link that leads out of
// it, a named pipe, a directory.
func TestLayoutFolderWithoutFiles(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, alphabet, 0o600); err != nil {
		t.Fatal(err)
	}
	d := digest.FromBytes(alphabet)
	for name, add := range map[string]func(path string) error{
		"link": func(path string) error { return os.Symlink(secret, path) },
		"relative link": func(path string) error {
			return os.Symlink("../../../"+filepath.Base(filepath.Dir(secret))+"/secret", path)
		},
		"link to pipe": func(path string) error { return os.Symlink("pipe", path) },
		"loop":         func(path string) error { return os.Symlink(filepath.Base(path), path) },
		"pipe":         func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"directory":    func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := layoutOf(t, nil, "other")
			blobs := filepath.Join(dir, "blobs", "sha256")
			if err := syscall.Mkfifo(filepath.Join(blobs, "pipe"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := add(filepath.Join(dir, BlobPath(d))); err != nil {
				t.Fatal(err)
			}
			l := openLayout(t, dir)
			content, _, err := fetch(l.Blob(ocispec.Descriptor{Digest: d, Size: 26}), 0, 26)
			if err == nil {
				t.Errorf("%q", content)
			}
			if size, err := l.BlobSize(t.Context(), d); err == nil {
				t.Errorf("%d bytes", size)
			}
			if content, err := l.Manifest(t.Context(), d); err == nil {
				t.Errorf("%q", content)
			}
		})
	}
}

// A link inside the folder is one of its files.
func TestLayoutFolderLink(t *testing.T) {
	dir := layoutOf(t, nil)
	put(t, dir, "shared/x", string(alphabet))
	d := digest.FromBytes(alphabet)
	path := filepath.Join(dir, BlobPath(d))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../shared/x", path); err != nil {
		t.Fatal(err)
	}
	if got, _, err := fetch(openLayout(t, dir).Blob(ocispec.Descriptor{Digest: d, Size: 26}), 0, 26); got != string(alphabet) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestOpenLayoutPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := OpenLayout(t.Context(), pipe, nil)
	wantIs(t, err, errdef.ErrUnsupported)
	for _, name := range []string{"index.json", "oci-layout"} {
		dir := layoutOf(t, nil)
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenLayout(t.Context(), dir, nil); err == nil || !strings.Contains(err.Error(), "regular") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
