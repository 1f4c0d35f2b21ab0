package fs

import (
	"slices"
	"strings"
	"syscall"
	"testing"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestXattrs(t *testing.T) {
	d := digest.FromString("content")
	longest := strings.Repeat("k", maxXattrName-len("user."))
	x := descriptorXattrs(ocispec.Descriptor{MediaType: "text/plain", Digest: d, Size: 7, Annotations: map[string]string{
		"org.example.empty":     "",
		"org.example.unicode":   "grüße\n",
		"oci.digest":            "a lie",
		"oci.verified":          "a lie",
		longest:                 "kept",
		longest + "k":           "left out",
		"":                      "left out",
		"nul\x00":               "left out",
		"org.example.too-large": strings.Repeat("v", maxXattrValue+1),
	}})

	want := []string{"user." + longest, "user.oci.digest", "user.oci.mediaType", "user.oci.size", "user.org.example.empty", "user.org.example.unicode"}
	buffer := make([]byte, maxXattrList)
	n, errno := x.list(buffer)
	if got := strings.Split(strings.TrimSuffix(string(buffer[:n]), "\x00"), "\x00"); errno != 0 || !slices.Equal(got, want) {
		t.Errorf("list: %v, %q, want %q", errno, got, want)
	}
	for name, value := range map[string]string{
		"user.oci.digest": d.String(), "user.oci.mediaType": "text/plain", "user.oci.size": "7",
		"user.org.example.empty": "", "user.org.example.unicode": "grüße\n", "user." + longest: "kept",
	} {
		n, errno := x.get(name, buffer)
		if errno != 0 || string(buffer[:n]) != value {
			t.Errorf("get %s: %v, %q, want %q", name, errno, buffer[:n], value)
		}
	}
	if _, errno := x.get("user.absent", buffer); errno != fusefs.ENOATTR {
		t.Errorf("an absent attribute: %v", errno)
	}
	if n, errno := x.get("user.oci.digest", buffer[:3]); errno != syscall.ERANGE || int(n) != len(d) {
		t.Errorf("a small buffer: %v, %d", errno, n)
	}
	if n, errno := x.list(nil); errno != syscall.ERANGE || int(n) != len(strings.Join(want, "\x00"))+1 {
		t.Errorf("a list without a buffer: %v, %d", errno, n)
	}
}

// Linux lists at most 64 KiB of names: the rest can still be read by name.
func TestXattrsManyNames(t *testing.T) {
	from := map[string]string{}
	for i := range 1000 {
		from[strings.Repeat("k", 200)+string(rune('a'+i%26))+strings.Repeat("x", i/26)] = "v"
	}
	x := annotations(from)
	n, errno := x.list(make([]byte, maxXattrList))
	if errno != 0 || n == 0 || n > maxXattrList {
		t.Errorf("list: %v, %d bytes", errno, n)
	}
}
