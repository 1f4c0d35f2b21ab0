package mount

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestAttributes holds modes, owners, times and sizes against the contract, and
// that none of them costs a blob.
func TestAttributes(t *testing.T) {
	t.Parallel()
	r := startDistribution(t)
	pushed := r.pushSeveral(t)
	f := startFront(t, r.host)
	m := mountRegistry(t, f.host)

	owner := fmt.Sprintf("%d:%d", os.Getuid(), os.Getgid())
	const created, epoch = "2024-02-29 12:30:00.000000000 +0000", "1970-01-01 00:00:00.000000000 +0000"
	artifact := "hello-artifact/_manifests/sha256/" + hexOf(pushed)
	for path, want := range map[string]string{
		"":                                          "dr-xr-xr-x " + owner + " " + epoch,
		"hello-artifact":                            "dr-xr-xr-x " + owner + " " + epoch,
		"hello-artifact/_tags":                      "dr-xr-xr-x " + owner + " " + epoch,
		artifact:                                    "dr-xr-xr-x " + owner + " " + created,
		artifact + "/manifest.json":                 "-r--r--r-- " + owner + " " + created,
		artifact + "/config.json":                   "-r--r--r-- " + owner + " " + created,
		artifact + "/files/docs":                    "dr-xr-xr-x " + owner + " " + created,
		artifact + "/files/docs/readme.md":          "-r--r--r-- " + owner + " " + created,
		artifact + "/layers/00-res.tar.gz":          "-r--r--r-- " + owner + " " + created,
		"hello-artifact/_tags/v3/layers":            "dr-xr-xr-x " + owner + " " + created,
		"hello-artifact:v3/files/docs/../notes.txt": "-r--r--r-- " + owner + " " + created,
	} {
		if got := m.stat(t, "%A %u:%g %y", path); got != want {
			t.Errorf("/%s is %s, not %s", path, got, want)
		}
	}
	if got := m.stat(t, "%F %u:%g", "hello-artifact/_tags/v3"); got != "symbolic link "+owner {
		t.Errorf("the tag is a %s", got)
	}

	for name, content := range several {
		if name == "annotations.json" {
			continue
		}
		if got, want := m.stat(t, "%s", artifact, "files", name), fmt.Sprint(len(content)); got != want {
			t.Errorf("%s has %s bytes, not %s", name, got, want)
		}
	}
	output(t, "ls", "-lR", m.path(artifact))
	if asked := f.requests("/blobs/"); len(asked) != 0 {
		t.Errorf("attributes cost requests for blobs: %v", asked)
	}
}

// TestLinkCounts counts the names of files, as backups do that look for the other
// names of a file.
func TestLinkCounts(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "app", 1, small)
	f.addFixture(t, "base-gzip")
	m := mountRegistry(t, f.host)
	const image = "base-gzip/_tags/latest/rootfs"
	// What is in an image as its archive has it: the first that looks in has it read.
	hard := strings.Fields(output(t, "find", m.path(image)+"/", "-type", "f", "-links", "3", "-printf", `%f\n`))
	if slices.Sort(hard); !slices.Equal(hard, []string{"hard-a", "hard-b", "hard-c"}) {
		t.Errorf("the files of three names are %q", hard)
	}
	for path, want := range map[string]string{
		"":                                 "1", // of a directory it is no count
		"app":                              "1",
		"app/_tags":                        "1",
		"app/_tags/v1/":                    "1",
		"app/_tags/v1/files":               "1",
		"app/_tags/v1":                     "1", // the link
		"app/_tags/v1/manifest.json":       "1",
		"app/_tags/v1/files/content.bin":   "1",
		"app/_tags/v1/layout.tar":          "1",
		"app/_tags/v1/layout/index.json":   "1",
		"app/_tags/v1/layout/blobs/sha256": "1",
		image:                              "1",
		image + "/etc":                     "1",
		image + "/links":                   "1",
	} {
		if got := m.stat(t, "%h", path); got != want {
			t.Errorf("/%s has %s links, not %s", path, got, want)
		}
	}
}

// TestStatfs asks what programs ask of a file system before they make names: what the
// longest may be, and in what pieces it is read best.
func TestStatfs(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "app", 1, small)
	m := mountRegistry(t, f.host)
	for _, path := range []string{"", "app", "app/_tags/v1", "app/_tags/v1/files/content.bin"} {
		if got, want := strings.TrimSpace(output(t, "stat", "-f", "-c", "%l %s", m.path(path))), "255 4096"; got != want {
			t.Errorf("/%s: the longest name and the size of a block are %s, not %s", path, got, want)
		}
	}
}

// TestReadOnly tries to write in all ways.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	r := startDistribution(t)
	r.push(t, folder(t, hello), "hello-artifact:v1", "./artifact.txt")
	m := mountRegistry(t, r.host)
	for _, c := range [][]string{
		{"hello-artifact/_tags/v1/files", "hello-artifact/_tags/v1/files/artifact.txt", "hello-artifact/_tags/v1"},
		{"hello-artifact/_tags", "hello-artifact/_tags/v1/manifest.json", "hello-artifact/_tags/v1"},
		{"hello-artifact", "hello-artifact/_tags/v1/config.json", "hello-artifact/_tags/v1"},
	} {
		inChild(t, "writable", m.path(c[0]), m.path(c[1]), m.path(c[2]))
	}
	fails(t, readOnly, "rm", "-rf", m.path("hello-artifact"))

	options := ""
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); fields[1] == m.dir {
			options = fields[3]
		}
	}
	for _, option := range []string{"ro", "nosuid", "nodev"} {
		if !slices.Contains(strings.Split(options, ","), option) {
			t.Errorf("mounted with %s, without %s", options, option)
		}
	}
}

// TestWalk lets find walk the whole tree, which has no loops, and the standard
// library's test look at the consistency of it.
func TestWalk(t *testing.T) {
	t.Parallel()
	r := startDistribution(t)
	pushed := r.pushSeveral(t)
	r.push(t, folder(t, hello), "hello-artifact:v1", "./artifact.txt")
	r.push(t, folder(t, hello), "a/b/c:v1", "./artifact.txt")
	m := mountRegistry(t, r.host)

	m.ls(t, "hello-artifact:v3/") // met, and so listed from now on
	found := strings.Split(strings.TrimSpace(output(t, "find", m.dir)), "\n")
	for _, want := range []string{
		"a/b/c/_tags/v1",
		"hello-artifact/_tags/v1",
		"hello-artifact/_tags/v3",
		"hello-artifact/_manifests/sha256/" + hexOf(pushed) + "/manifest.json",
		"hello-artifact/_manifests/sha256/" + hexOf(pushed) + "/config.json",
		"hello-artifact/_manifests/sha256/" + hexOf(pushed) + "/files/docs/readme.md",
		"hello-artifact/_manifests/sha256/" + hexOf(pushed) + "/layers/02-readme.md",
	} {
		if !slices.Contains(found, m.path(want)) {
			t.Errorf("find doesn't find %s", want)
		}
	}
	// Everything below a manifest of another tag is behind a link.
	if n := len(found); n > 60 {
		t.Errorf("find finds %d names", n)
	}
	output(t, "grep", "-r", "some notes", m.dir) // ends, and finds

	// One after the other would go through all below each of them again.
	artifact := "hello-artifact/_manifests/sha256/" + hexOf(pushed) + "/"
	inChild(t, "testfs", m.dir, "a/b/c/_tags/v1", "hello-artifact/_tags/v1", "hello-artifact/_tags/v3", artifact+"manifest.json",
		artifact+"config.json", artifact+"files/res.tar.gz", artifact+"files/docs/readme.md", artifact+"layers/01-notes.txt")
}

// TestIdentity looks at inode numbers: what is one file is one inode, what
// isn't is not, and they are the same in the next mount.
func TestIdentity(t *testing.T) {
	t.Parallel()
	r := startDistribution(t)
	files := folder(t, several)
	pushed := r.pushSeveral(t)
	// The same blobs in another manifest: other annotations, another time.
	r.push(t, files, "hello-artifact:plain", "res.tar.gz:application/gzip", "notes.txt", "docs/readme.md")
	m := mountRegistry(t, r.host)

	artifact := "hello-artifact/_manifests/sha256/" + hexOf(pushed)
	inode := func(path string) string { return m.stat(t, "%i", path) }
	for name, layer := range map[string]string{
		"res.tar.gz": "00-res.tar.gz", "notes.txt": "01-notes.txt", "docs/readme.md": "02-readme.md",
	} {
		file := inode(artifact + "/files/" + name)
		if got := inode(artifact + "/layers/" + layer); got != file {
			t.Errorf("layers/%s is inode %s, files/%s is %s", layer, got, name, file)
		}
		if got := inode("hello-artifact:v3/files/" + name); got != file {
			t.Errorf("%s is inode %s by its tag, %s by its digest", name, got, file)
		}
		if got := inode("hello-artifact:plain/files/" + name); got == file {
			t.Errorf("%s of two manifests is one inode", name)
		}
	}
	all := strings.Fields(output(t, "find", m.path(artifact), "-printf", "%i "))
	slices.Sort(all)
	if unique := slices.Compact(slices.Clone(all)); len(all)-len(unique) != 3 {
		t.Errorf("%d names have %d inodes, three pairs are expected", len(all), len(unique))
	}
	for _, zero := range []string{"0", "1"} {
		if slices.Contains(all, zero) {
			t.Errorf("inode %s is taken", zero)
		}
	}

	before := output(t, "find", m.dir, "-printf", "%P %i\n")
	m.restart(t)
	m.ls(t, "hello-artifact:v3/")
	m.ls(t, "hello-artifact:plain/")
	if after := output(t, "find", m.dir, "-printf", "%P %i\n"); before != after {
		t.Errorf("inodes before\n%s and after a restart\n%s", before, after)
	}
}

// TestImpossibleNames looks up what no registry can hold, and what programs
// look for everywhere: none of it costs a request.
func TestImpossibleNames(t *testing.T) {
	t.Parallel()
	r := startDistribution(t)
	r.push(t, folder(t, hello), "hello-artifact:v1", "./artifact.txt")
	f := startFront(t, r.host)
	m := mountRegistry(t, f.host)
	m.ls(t, "hello-artifact/_tags")

	f.forget()
	for _, dir := range []string{"", "hello-artifact"} {
		for _, name := range []string{
			".git", ".Trash", ".Trash-1000", "Thumbs.db", "Upper", "_none", "-dash", "a..b", "name-",
			strings.Repeat("a", 256), "hello-artifact:", "hello-artifact:.v", "hello-artifact@sha256:1", "hello-artifact@v1", "Upper:v1",
		} {
			r := try(t, "stat", filepath.Join(m.path(dir), name))
			if r.code == 0 || !strings.Contains(r.stderr, notThere) && !strings.Contains(r.stderr, "File name too long") {
				t.Errorf("%s/%s: exit code %d\n%s%s", dir, name, r.code, r.stdout, r.stderr)
			}
		}
	}
	for _, name := range []string{".git", "bad tag", "tag:tag", strings.Repeat("t", 129)} {
		fails(t, notThere, "stat", m.path("hello-artifact/_tags", name))
		fails(t, notThere, "stat", m.path("hello-artifact/_manifests", name))
	}
	for _, name := range []string{"sha256:1", "sha257", "v1", ".git"} {
		fails(t, notThere, "stat", m.path("hello-artifact/_blobs", name))
	}
	for _, dir := range []string{"_blobs/sha256", "_manifests/sha256"} {
		for _, name := range []string{"1", ".git", strings.Repeat("A", 64), strings.Repeat("g", 64), strings.Repeat("0", 65)} {
			fails(t, notThere, "stat", m.path("hello-artifact", dir, name))
		}
	}
	if asked := f.requests(""); len(asked) != 0 {
		t.Errorf("the registry was asked: %v", asked)
	}
}
