package release

import (
	"bufio"
	"crypto/x509"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// images are the container images by name: what one architecture of it may have in bytes,
// compressed, and its programs, of which it runs the first.
var images = map[string]struct {
	size     int64
	programs []string
}{
	"orasfs":     {12 << 20, []string{"orasfs"}},
	"orasfs-csi": {14 << 20, []string{"orasfs-csi", "orasfs"}},
}

// TestImages pushes the container images to a registry, and pulls them as a runtime
// does.
func TestImages(t *testing.T) {
	host := serveRegistry(t)
	crane := func(t *testing.T, args ...string) string {
		t.Helper()
		return run(t, filepath.Join(tools, "crane"), args...)
	}
	for name, expected := range images {
		reference := pushImage(t, host, name)
		crane(t, "validate", "--remote", reference)
		for _, arch := range []string{"amd64", "arm64"} {
			t.Run(name+" "+arch, func(t *testing.T) {
				platform := "--platform=linux/" + arch
				held := readTar(t, strings.NewReader(crane(t, "export", platform, reference, "-")))
				checkRoot(t, held, arch, expected.programs)
				var manifest ocispec.Manifest
				var image ocispec.Image
				decode(t, crane(t, "manifest", platform, reference), &manifest)
				decode(t, crane(t, "config", platform, reference), &image)
				if size := manifest.Config.Size + manifest.Layers[0].Size; size > expected.size {
					t.Errorf("it has %d bytes", size)
				}
				for label, want := range map[string]string{
					ocispec.AnnotationTitle: name, ocispec.AnnotationVersion: version,
					ocispec.AnnotationCreated: "2023-11-14T22:13:20Z", ocispec.AnnotationLicenses: "Apache-2.0",
				} {
					if manifest.Annotations[label] != want || image.Config.Labels[label] != want {
						t.Errorf("%s is %q, as a label %q", label, manifest.Annotations[label], image.Config.Labels[label])
					}
				}
				if !slices.Equal(image.Config.Entrypoint, []string{"/usr/bin/" + name}) || image.Architecture != arch {
					t.Errorf("it runs %q on %s", image.Config.Entrypoint, image.Architecture)
				}
			})
		}
	}
}

// pushImage pushes an image of the release to a registry, and gives its reference there.
func pushImage(t *testing.T, host, name string) string {
	t.Helper()
	reference := host + "/" + name + ":" + version
	layout := filepath.Join(release, name+"-"+version+"-image.tar") + ":" + version
	run(t, filepath.Join(tools, "oras"), "cp", "--no-tty", "--from-oci-layout", layout, "--to-plain-http", reference)
	return reference
}

// checkRoot looks at the root file system of an image: static programs, that of the
// tarball among them, and certificates, and nothing else.
func checkRoot(t *testing.T, held map[string]member, arch string, programs []string) {
	t.Helper()
	files := slices.DeleteFunc(slices.Sorted(maps.Keys(held)), func(name string) bool { return held[name].content == "" })
	want := []string{"etc/ssl/certs/ca-certificates.crt"}
	for _, name := range programs {
		want = append(want, "usr/bin/"+name)
		program := held["usr/bin/"+name]
		if program.mode != 0o755 {
			t.Errorf("%s has the mode %o", name, program.mode)
		}
		checkStatic(t, program.content, arch)
	}
	slices.Sort(want)
	if !slices.Equal(files, want) {
		t.Fatalf("it holds %q", files)
	}
	if held["usr/bin/orasfs"].content != tarballProgram(t, "linux-"+arch) {
		t.Error("orasfs isn't the tarball's")
	}
	if !x509.NewCertPool().AppendCertsFromPEM([]byte(held["etc/ssl/certs/ca-certificates.crt"].content)) {
		t.Error("there are no certificates")
	}
}

// TestImageIsOne reads the images as those do who take what an OCI layout lists.
func TestImageIsOne(t *testing.T) {
	for name := range images {
		held := readTar(t, strings.NewReader(readFile(t, filepath.Join(release, name+"-"+version+"-image.tar"))))
		var index ocispec.Index
		decode(t, held["index.json"].content, &index)
		if len(index.Manifests) != 1 || index.Manifests[0].Annotations[ocispec.AnnotationRefName] != version {
			t.Errorf("the layout of %s lists %+v", name, index.Manifests)
		}
	}
}

// TestImageRuns has the programs of the driver's image say their version in its root file
// system, where there is nothing but them.
func TestImageRuns(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can enter another root directory")
	}
	reference := pushImage(t, serveRegistry(t), "orasfs-csi")
	dir := t.TempDir()
	archive := filepath.Join(dir, "root.tar")
	run(t, filepath.Join(tools, "crane"), "export", "--platform=linux/"+runtime.GOARCH, reference, archive)
	root := filepath.Join(dir, "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, "tar", "-xf", archive, "-C", root)
	if got := run(t, "chroot", root, "/usr/bin/orasfs-csi", "--version"); got != "orasfs-csi version "+version+"\n" {
		t.Errorf("orasfs-csi --version prints %q", got)
	}
	if got := run(t, "chroot", root, "/usr/bin/orasfs", "version"); got != programVersion(version) {
		t.Errorf("orasfs version prints %q", got)
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
