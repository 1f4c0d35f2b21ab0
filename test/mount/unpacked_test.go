package mount

import (
	"path/filepath"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestPushedDirectories pushes directories with oras, that in which it runs among
// them, alone and with files that are in them, and compares files/ and a mount of
// the artifact with what oras pulls.
func TestPushedDirectories(t *testing.T) {
	t.Parallel()
	r := startDistribution(t)
	dir := folder(t, map[string]string{"x": "x\n", "a/one": "one\n", "a/b": "b\n", "a/sub/s": "s\n", "z/deep/er/file": "z\n"})
	output(t, "ln", "-s", "one", filepath.Join(dir, "a/link"))
	tags := map[string][]string{
		"here":      {"."},
		"file-dir":  {"a/one", "a"},
		"dir-file":  {"a", "a/one"},
		"dir-dir":   {"a", "a/sub"},
		"here-file": {".", "x", "a/one"},
		"all":       {"z/deep/er/file", ".", "a/sub", "a", "x"},
	}
	for tag, args := range tags {
		r.push(t, dir, "dirs:"+tag, args...)
	}
	m := mountRegistry(t, r.host)
	for tag := range tags {
		asPulled(t, r.host+"/dirs:"+tag, m.path("dirs:"+tag, "files/"))
		pinned := mountRegistry(t, r.host+"/dirs:"+tag)
		asPulled(t, r.host+"/dirs:"+tag, pinned.dir)
	}
}

// TestOverlappingTitles gives layers titles that lead to the same files, of
// different content: the later layer's is there, as oras writes it.
func TestOverlappingTitles(t *testing.T) {
	t.Parallel()
	const repo = "overlapping"
	f := serveFake(t)
	file := func(title, content string) ocispec.Descriptor {
		return f.addLayer(repo, ocispec.MediaTypeImageLayer, []byte(content), ocispec.AnnotationTitle, title)
	}
	unpacked := func(title string, items ...item) ocispec.Descriptor {
		return f.addLayer(repo, ocispec.MediaTypeImageLayerGzip, gzipped(t, tarOf(t, items...)), ocispec.AnnotationTitle, title, "io.deis.oras.content.unpack", "true")
	}
	a := unpacked("a", directory("a/"), regular("a/one", "archived\n"), directory("a/s/"), regular("a/s/x", "outer\n"), regular("a/s/y", "outer\n"), symlink("a/link", "one"))
	inner := unpacked("a/s", directory("a/s/"), regular("a/s/x", "inner\n"), regular("a/s/z", "inner\n"))
	for tag, layers := range map[string][]ocispec.Descriptor{
		"file-dir":  {file("a/one", "titled\n"), a},
		"dir-file":  {a, file("a/one", "titled\n")},
		"dir-dir":   {a, inner},
		"inner-dir": {inner, a},
		"deeper":    {a, file("a/s/x", "titled\n"), inner, file("a/s/t/u", "deeper\n")},
		"over-link": {a, file("a/link", "titled\n")},
		"here": {
			unpacked(".", regular("x", "1\n"), regular("y", "1\n"), directory("d/"), regular("d/1", "1\n"), directory("e/"), regular("e/1", "1\n")),
			unpacked("./", regular("x", "2\n"), regular("z", "2\n"), directory("d/"), regular("d/2", "2\n"), directory("e/"), regular("e/2", "2\n")),
			file("d/3", "3\n"),
		},
	} {
		t.Run(tag, func(t *testing.T) {
			f.AddArtifact(repo, tag, "application/vnd.example", nil, layers...)
			m := mountRegistry(t, f.host)
			asPulled(t, f.host+"/"+repo+":"+tag, m.path(repo+":"+tag, "files/"))
		})
	}
}

// TestMergedDirectory looks into a directory that is titled files and an archive:
// nothing of the archive is fetched for what the manifest tells, and where oras
// gives up what the manifest names is there.
func TestMergedDirectory(t *testing.T) {
	t.Parallel()
	const repo = "merged"
	f := serveFake(t)
	titledFile := func(title string) ocispec.Descriptor { return titled(f.AddBlob(repo, []byte(title+"\n")), title) }
	archive := f.addLayer(repo, ocispec.MediaTypeImageLayerGzip, gzipped(t, tarOf(t, directory("a/"), regular("a/b", "b\n"),
		regular("a/folder", "a file\n"), directory("a/file/"), regular("a/file/x", "x\n"), regular("a/big", noise(t, 1, 2*mib)))),
		ocispec.AnnotationTitle, "a", "io.deis.oras.content.unpack", "true")
	f.AddArtifact(repo, "v1", "application/vnd.example", nil, archive, titledFile("a/one"), titledFile("a/folder/x"), titledFile("a/file"), titledFile("b"))
	f.AddArtifact(repo, "late", "application/vnd.example", nil, titledFile("a/folder/x"), titledFile("a/file"), archive)
	broken := f.addLayer(repo, ocispec.MediaTypeImageLayerGzip, []byte("no archive"), ocispec.AnnotationTitle, "a", "io.deis.oras.content.unpack", "true")
	f.AddArtifact(repo, "broken", "application/vnd.example", nil, broken, titledFile("a/one"), titledFile("b"))
	m := mountRegistry(t, f.host)
	files := repo + ":v1/files"

	output(t, "ls", "-l", m.path(files)+"/")
	for _, name := range []string{"a/one", "a/folder/x", "a/file", "b"} {
		if got := m.cat(t, files, name); got != name+"\n" {
			t.Errorf("%s holds %q", name, got)
		}
	}
	if n := f.fetched(archive.Digest); n != 0 {
		t.Errorf("for what the manifest names %d bytes of the archive were fetched", n)
	}
	lists(t, m.path(files)+"/", "a/", "a/one", "a/b", "a/big", "a/folder/", "a/folder/x", "a/file", "b")
	if got := m.cat(t, files, "a/b"); got != "b\n" {
		t.Errorf("a/b holds %q", got)
	}
	fails(t, "No such file", "cat", m.path(files, "a/nothing"))
	f.Reset()
	lists(t, m.path(files, "a"), "one", "b", "big", "folder/", "folder/x", "file")
	f.asksNothing(t, "the second time")

	files = repo + ":late/files"
	lists(t, m.path(files)+"/", "a/", "a/b", "a/big", "a/folder/", "a/folder/x", "a/file")
	if got := m.cat(t, files, "a/folder/x") + m.cat(t, files, "a/file"); got != "a/folder/x\na/file\n" {
		t.Errorf("before the archive are %q", got)
	}

	files = repo + ":broken/files"
	if got := m.cat(t, files, "a/one") + m.cat(t, files, "b"); got != "a/one\nb\n" {
		t.Errorf("beside an archive that can't be read are %q", got)
	}
	fails(t, "Input/output error", "ls", m.path(files, "a"))
	fails(t, "Input/output error", "cat", m.path(files, "a/b"))
	m.logs(t, "open archive", "EIO")
}
