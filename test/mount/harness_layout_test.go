package mount

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// unpackLayout unpacks a layout of testdata and gives its directory.
func unpackLayout(t testing.TB, name string) string {
	t.Helper()
	layout, err := fakeregistry.OpenLayout(filepath.Join(testdata, name+".tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), name)
	if err := os.CopyFS(dir, layout); err != nil {
		t.Fatal(err)
	}
	return dir
}

// umociUnpack unpacks an image of a layout as umoci does, which knows how
// layers are applied, and gives its root file system.
func umociUnpack(t testing.TB, layout, tag string) string {
	t.Helper()
	bundle := filepath.Join(t.TempDir(), "bundle")
	output(t, tool(t, "umoci"), "unpack", "--image", layout+":"+tag, bundle)
	return filepath.Join(bundle, "rootfs")
}

// layoutMount prepares a mount of a layout on this disk.
func layoutMount(t testing.TB, target string, flags ...string) *mount {
	t.Helper()
	return prepare(t, target, append([]string{"--oci-layout"}, flags...)...)
}

func mountLayout(t testing.TB, target string, flags ...string) *mount {
	t.Helper()
	m := layoutMount(t, target, flags...)
	m.mount(t)
	return m
}
