package release

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxImage is what the image of one architecture may have in bytes, compressed.
const maxImage = 12 << 20

// TestImage pushes the container image to a registry, and pulls it as a runtime
// does.
func TestImage(t *testing.T) {
	reference := serveRegistry(t) + "/orasfs:" + version
	layout := filepath.Join(release, "orasfs-"+version+"-image.tar") + ":" + version
	run(t, filepath.Join(tools, "oras"), "cp", "--no-tty", "--from-oci-layout", layout, "--to-plain-http", reference)
	crane := func(args ...string) string {
		t.Helper()
		return run(t, filepath.Join(tools, "crane"), args...)
	}
	crane("validate", "--remote", reference)
	for _, arch := range []string{"amd64", "arm64"} {
		platform := "--platform=linux/" + arch
		held := readTar(t, strings.NewReader(crane("export", platform, reference, "-")))
		files := slices.DeleteFunc(slices.Sorted(maps.Keys(held)), func(name string) bool { return held[name].content == "" })
		if want := []string{"etc/ssl/certs/ca-certificates.crt", "usr/bin/orasfs"}; !slices.Equal(files, want) {
			t.Fatalf("%s holds %q", arch, files)
		}
		if program := held["usr/bin/orasfs"]; program.content != tarballProgram(t, "linux-"+arch) || program.mode != 0o755 {
			t.Errorf("%s: the program isn't the tarball's, or its mode is %o", arch, program.mode)
		}
		if !x509.NewCertPool().AppendCertsFromPEM([]byte(held["etc/ssl/certs/ca-certificates.crt"].content)) {
			t.Errorf("%s has no certificates", arch)
		}
		var manifest ocispec.Manifest
		var image ocispec.Image
		decode(t, crane("manifest", platform, reference), &manifest)
		decode(t, crane("config", platform, reference), &image)
		if size := manifest.Config.Size + manifest.Layers[0].Size; size > maxImage {
			t.Errorf("%s has %d bytes", arch, size)
		}
		for name, want := range map[string]string{ocispec.AnnotationVersion: version, ocispec.AnnotationCreated: "2023-11-14T22:13:20Z", ocispec.AnnotationLicenses: "Apache-2.0"} {
			if manifest.Annotations[name] != want || image.Config.Labels[name] != want {
				t.Errorf("%s: %s is %q, as a label %q", arch, name, manifest.Annotations[name], image.Config.Labels[name])
			}
		}
		if !slices.Equal(image.Config.Entrypoint, []string{"/usr/bin/orasfs"}) || image.Architecture != arch {
			t.Errorf("%s runs %q on %s", arch, image.Config.Entrypoint, image.Architecture)
		}
	}
}

// TestImageIsOne reads the image as those do who take what an OCI layout lists.
func TestImageIsOne(t *testing.T) {
	held := readTar(t, strings.NewReader(readFile(t, filepath.Join(release, "orasfs-"+version+"-image.tar"))))
	var index ocispec.Index
	decode(t, held["index.json"].content, &index)
	if len(index.Manifests) != 1 || index.Manifests[0].Annotations[ocispec.AnnotationRefName] != version {
		t.Errorf("the layout lists %+v", index.Manifests)
	}
}

func decode(t *testing.T, document string, to any) {
	t.Helper()
	if err := json.Unmarshal([]byte(document), to); err != nil {
		t.Fatalf("%v in %s", err, document)
	}
}

// serveRegistry runs crane's registry until the test ends, and gives its host.
func serveRegistry(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(tools, "crane"), "registry", "serve", "--address", "127.0.0.1:0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // it was killed
	line, err := bufio.NewReader(stderr).ReadString('\n')
	port := regexp.MustCompile(`serving on port (\d+)`).FindStringSubmatch(line)
	if port == nil {
		t.Fatalf("crane registry serve says %q, %v", line, err)
	}
	return "127.0.0.1:" + port[1]
}
