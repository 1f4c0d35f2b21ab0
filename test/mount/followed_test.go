package mount

import (
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// addTexts adds an artifact of text files, given as pairs of a title and a text.
func (f *fake) addTexts(repo, tag string, pairs ...string) ocispec.Descriptor {
	var layers []ocispec.Descriptor
	for pair := range slices.Chunk(pairs, 2) {
		layers = append(layers, titled(f.AddBlob(repo, []byte(pair[1])), pair[0]))
	}
	return f.AddArtifact(repo, tag, "application/vnd.example.text", nil, layers...)
}

// addPlatforms adds an index of manifests for Linux on architectures.
func (f *fake) addPlatforms(t testing.TB, repo, tag string, of map[string]ocispec.Descriptor) digest.Digest {
	t.Helper()
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex}
	index.SchemaVersion = 2
	for architecture, manifest := range of {
		manifest.Platform = &ocispec.Platform{OS: "linux", Architecture: architecture}
		index.Manifests = append(index.Manifests, manifest)
	}
	return f.AddManifest(repo, tag, index.MediaType, asJSON(t, index)).Digest
}

// follow mounts a tag that is followed.
func (f *fake) follow(t testing.TB, target string, flags ...string) *mount {
	t.Helper()
	return mountRegistry(t, f.host+target, append([]string{"--follow"}, flags...)...)
}

// followedName is the name of a manifest's directory in a mount that follows a tag.
func followedName(d digest.Digest) string { return ".." + d.Encoded() }

// leads waits until ..data leads to a manifest.
func (m *mount) leads(t testing.TB, to digest.Digest) {
	t.Helper()
	eventually(t, "..data leads to "+to.String(), func() bool {
		r := try(t, "readlink", m.path("..data"))
		return r.code == 0 && r.stdout == followedName(to)+"\n"
	})
}

// follows fails the test unless the mountpoint has a manifest and these names.
func (m *mount) follows(t testing.TB, d digest.Digest, names ...string) {
	t.Helper()
	want := append([]string{"..data", followedName(d)}, names...)
	got := m.ls(t)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the mount lists %q, not %q", got, want)
	}
}

// TestFollow moves a tag: what the mount shows becomes another at once, and who has
// something of the old open reads on.
func TestFollow(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	before := f.addTexts("org/model", "v1", "name.txt", "one\n", "old.txt", "old\n", "conf/a.json", "{}\n").Digest
	m := f.follow(t, "/org/model:v1", "--tag-ttl", "1s")
	m.mountedAs(t, f.host+"/org/model:v1")
	m.follows(t, before, "conf", "name.txt", "old.txt")
	for link, want := range map[string]string{"..data": followedName(before), "name.txt": "..data/name.txt", "conf": "..data/conf"} {
		if got := m.readlink(t, link); got != want {
			t.Errorf("%s leads to %s, not to %s", link, got, want)
		}
	}
	if got := m.cat(t, "name.txt") + m.cat(t, "conf/a.json") + m.cat(t, "..data/old.txt"); got != "one\n{}\nold\n" {
		t.Errorf("the files hold %q", got)
	}
	fails(t, notThere, "cat", m.path("new.txt"))
	unlisted := f.follow(t, "/org/model:v1", "--tag-ttl", "1s")
	unlisted.readlink(t, "old.txt")
	fails(t, notThere, "cat", unlisted.path("new.txt"))
	standing := shellIn(t, m.path("..data/conf"))
	standing.does(t, "exec 3<../name.txt; echo open", "open")

	after := f.addTexts("org/model", "v1", "name.txt", "two\n", "new.txt", "new\n").Digest
	m.leads(t, after)
	m.follows(t, after, "name.txt", "new.txt")
	unlisted.leads(t, after)
	if got := unlisted.cat(t, followedName(before), "old.txt"); got != "old\n" {
		t.Errorf("in the old directory, where nobody has looked so far, the file holds %q", got)
	}
	for _, m := range []*mount{m, unlisted} {
		eventually(t, "the new name is there, and the old one's link isn't", func() bool {
			return try(t, "test", "-L", m.path("new.txt")).code == 0 && try(t, "test", "-L", m.path("old.txt")).code != 0
		})
	}
	if got := m.cat(t, "name.txt") + m.cat(t, "new.txt"); got != "two\nnew\n" {
		t.Errorf("when the tag has moved the files hold %q", got)
	}
	for _, gone := range []string{"old.txt", "conf", "conf/a.json"} {
		fails(t, notThere, "cat", m.path(gone))
	}
	standing.does(t, "cat <&3", "one")
	standing.does(t, "cat a.json ../old.txt | tr -d '\\n'; echo", "{}old")
	lists(t, m.path(followedName(before)), "conf/", "conf/a.json", "name.txt", "old.txt")
	fails(t, notThere, "ls", m.path(followedName(digest.FromString("never met"))))
}

// TestFollowCost counts what it takes: nothing for as long as the tag holds, and one
// request when that is over.
func TestFollowCost(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addTexts("app", "v1", "name.txt", "one\n")
	m := f.follow(t, "/app:v1", "--tag-ttl", "1h")
	m.cat(t, "name.txt")
	f.addTexts("app", "v1", "name.txt", "two\n")
	f.Reset()
	for range 3 {
		output(t, "ls", "-lAL", m.dir)
		fails(t, notThere, "cat", m.path("missing"))
		if got := m.cat(t, "name.txt") + m.cat(t, "..data/name.txt"); got != "one\none\n" {
			t.Errorf("while the tag holds the file holds %q", got)
		}
	}
	if asked := f.Requests(); len(asked) != 0 {
		t.Errorf("while the tag holds the registry is asked: %v", asked)
	}

	f.addTexts("same", "v1", "name.txt", "one\n")
	m = f.follow(t, "/same:v1", "--tag-ttl", "1s")
	m.cat(t, "name.txt")
	f.Reset()
	eventually(t, "the tag is asked again", func() bool {
		m.cat(t, "name.txt")
		return f.Count(http.MethodHead, "/same/manifests/v1") >= 2
	})
	f.asksNothingBut(t, "for a tag that stays", "HEAD /v2/same/manifests/v1")
}

// TestFollowViews follows a tag in each view, and from an image to what is none. Names
// that begin as the mount's own are there without a link.
func TestFollowViews(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	image := func(text string) (image, digest.Digest) {
		i := imageOf(t, gzipLayer(t, tarOf(t, directory("etc"), regular("etc/name", text), regular("..data", text), regular("..hidden", text), symlink("link", "etc/name"))))
		return i, digest.FromBytes(i.manifest)
	}
	i, one := image("one\n")
	f.addImage("app", "v1", i)
	rootfs := f.follow(t, "/app:v1", "--tag-ttl", "1s")
	layout := f.follow(t, "/app:v1", "--tag-ttl", "1s", "--view", "layout")
	files := f.follow(t, "/app:v1", "--tag-ttl", "1s", "--view", "files")
	rootfs.follows(t, one, "etc", "link")
	layout.follows(t, one, "blobs", "index.json", "manifest.json", "oci-layout")
	files.follows(t, one)
	fails(t, notThere, "cat", rootfs.path("..hidden"))
	for _, file := range []string{"etc/name", "link", "..data/..hidden", "..data/..data"} {
		if got := rootfs.cat(t, file); got != "one\n" {
			t.Errorf("%s holds %q", file, got)
		}
	}
	rootfs.logs(t, "WARN", f.host+"/app:v1 ..hidden", "two dots")

	i, two := image("two\n")
	f.addImage("app", "v1", i)
	rootfs.leads(t, two)
	if got := rootfs.cat(t, "etc/name") + rootfs.cat(t, followedName(one), "etc/name"); got != "two\none\n" {
		t.Errorf("when the tag has moved the files hold %q", got)
	}
	layout.leads(t, two)
	layout.cat(t, "blobs/sha256/"+two.Encoded())

	text := f.addTexts("app", "v1", "name.txt", "text\n", "..title", "x").Digest
	rootfs.leads(t, text)
	rootfs.follows(t, text, "name.txt")
	if got := rootfs.cat(t, "..data/..title"); got != "x" {
		t.Errorf("what has no link holds %q", got)
	}
}

// TestFollowIndex shows the manifest of the platform. An index that moves and leaves that
// as it is switches nothing, but a layout.
func TestFollowIndex(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	arm, z := f.addTexts("app", "", "name.txt", "arm\n"), f.addTexts("app", "", "name.txt", "z\n")
	before := f.addPlatforms(t, "app", "v1", map[string]ocispec.Descriptor{"arm64": arm})
	m := f.follow(t, "/app:v1", "--platform", "linux/arm64", "--tag-ttl", "1s")
	layout := f.follow(t, "/app:v1", "--platform", "linux/arm64", "--tag-ttl", "1s", "--view", "layout")
	m.follows(t, arm.Digest, "name.txt")
	layout.leads(t, before)
	layout.leads(t, f.addPlatforms(t, "app", "v1", map[string]ocispec.Descriptor{"arm64": arm, "s390x": z}))
	m.follows(t, arm.Digest, "name.txt")

	f.addPlatforms(t, "app", "v1", map[string]ocispec.Descriptor{"s390x": z})
	eventually(t, "there is none for the platform", func() bool { return try(t, "readlink", m.path("..data")).code != 0 })
	fails(t, ioError, "cat", m.path("name.txt"))
	m.logs(t, "ERROR", "follow tag", "/app:v1", "EIO", "no manifest for linux/arm64")
}

// TestFollowOutage takes the registry away: what the tag stood for last is shown, for as
// long as it may be. Then that is an error, and the manifest is there by its digest.
func TestFollowOutage(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	d := f.addTexts("app", "v1", "name.txt", "one\n").Digest
	m := f.follow(t, "/app:v1", "--tag-ttl", "1ms", "--timeout", "2s")
	short := f.follow(t, "/app:v1", "--tag-ttl", "1ms", "--max-stale", "1s", "--timeout", "2s")
	for _, m := range []*mount{m, short} {
		m.cat(t, "name.txt")
	}
	f.Inject(fakeregistry.Fault{Status: http.StatusBadGateway})
	eventually(t, "what is too old is an error", func() bool { return try(t, "cat", short.path("name.txt")).code != 0 })
	fails(t, ioError, "ls", short.dir)
	short.logs(t, "ERROR", "follow tag", f.host+"/app:v1", "EIO", "502")
	for _, file := range []string{m.path("name.txt"), short.path(followedName(d), "name.txt")} {
		if got := output(t, "cat", file); got != "one\n" {
			t.Errorf("%s holds %q", file, got)
		}
	}
	m.logs(t, "WARN", "the registry isn't reached", f.host+"/app:v1")
	m.restart(t)
	if got := m.cat(t, "name.txt"); got != "one\n" {
		t.Errorf("mounted in an outage the file holds %q", got)
	}
}

// TestFollowGone has the tag go, and lead to what can't be shown: that is an error, with
// a line that says why, and what was read of the old manifest can be read.
func TestFollowGone(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	i := imageOf(t, gzipLayer(t, tarOf(t, regular("name.txt", "one\n"))))
	d := digest.FromBytes(i.manifest)
	f.addImage("app", "v1", i)
	m := f.follow(t, "/app:v1", "--view", "rootfs", "--tag-ttl", "1s")
	m.cat(t, "name.txt")
	for _, c := range []struct {
		move  func()
		why   string
		words []string // of a line
	}{
		{func() { f.Untag("app", "v1") }, notThere, []string{"ENOENT", "404"}},
		{func() { f.addTexts("app", "v1", "name.txt", "text\n") }, ioError, []string{"EIO", "no image"}},
		{func() {
			f.addTexts("app", "v1", "name.txt", "another\n")
			f.Inject(fakeregistry.Fault{Method: http.MethodGet, Path: "/manifests/", Status: http.StatusNotFound})
		}, ioError, []string{"EIO", "it is gone", "404"}},
	} {
		c.move()
		eventually(t, c.words[1]+" is in the log", func() bool {
			try(t, "cat", m.path("..data/name.txt"))
			return slices.ContainsFunc(m.errors(t), func(line string) bool { return strings.Contains(line, c.words[1]) })
		})
		m.logs(t, append(c.words, "ERROR", "follow tag", f.host+"/app:v1")...)
		fails(t, c.why, "cat", m.path("name.txt"))
		fails(t, c.why, "cat", m.path("..data/name.txt"))
		fails(t, c.why, "ls", m.dir)
		if got := m.cat(t, followedName(d), "name.txt"); got != "one\n" {
			t.Errorf("by the digest the file holds %q", got)
		}
	}
	f.Tag("app", d, "v1")
	m.leads(t, d)
	if got := m.cat(t, "name.txt"); got != "one\n" {
		t.Errorf("when the tag is there again the file holds %q", got)
	}
}

// TestFollowUnsigned has a tag move to something that isn't signed: it isn't shown.
func TestFollowUnsigned(t *testing.T) {
	t.Parallel()
	s, f := newSigner(t), serveFake(t)
	one := f.addTexts("app", "v1", "name.txt", "one\n").Digest
	s.sign(t, f, "app", one, payload(one))
	m := f.follow(t, "/app:v1", "--tag-ttl", "1s", "--verify-key", s.file)
	m.cat(t, "name.txt")
	two := f.addTexts("app", "v1", "name.txt", secret).Digest
	eventually(t, "what isn't signed is denied", func() bool { return try(t, "readlink", m.path("..data")).code != 0 })
	for _, command := range [][]string{
		{"cat", m.path("name.txt")}, {"cat", m.path("..data/name.txt")}, {"ls", m.dir}, {"ls", m.path(followedName(two))},
	} {
		fails(t, noAccess, command[0], command[1:]...)
	}
	m.logs(t, "ERROR", "verify", two.String(), "EACCES", "denied by the keys")
	if lines := m.errors(t); len(lines) != 1 {
		t.Errorf("not one line says why: %q", lines)
	}
	if got := m.cat(t, followedName(one), "name.txt"); got != "one\n" {
		t.Errorf("what was signed holds %q", got)
	}
	s.sign(t, f, "app", two, payload(two))
	m.leads(t, two)
}

// TestFollowSwitch reads while the tag moves to and fro: who goes through ..data once is
// in one manifest.
func TestFollowSwitch(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	versions := []digest.Digest{
		f.addTexts("app", "v1", "a.txt", "one\n", "b.txt", "one\n").Digest,
		f.addTexts("app", "v1", "a.txt", "two\n", "b.txt", "two\n").Digest,
	}
	m := f.follow(t, "/app:v1", "--tag-ttl", "10ms")
	reader := start(t, exec.Command("sh", "-c", `cd "$0" || exit 1
		for i in $(seq 300); do (cd -P ..data && cmp a.txt b.txt) && cat a.txt b.txt || exit 1; done`, m.dir))
	for i := 0; ; i++ {
		select {
		case <-reader.ended:
			if !reader.cmd.ProcessState.Success() {
				t.Errorf("%s%s", clip(reader.stdout.String()), clip(reader.stderr.String()))
			}
			return
		default:
			f.Tag("app", versions[i%2], "v1")
		}
	}
}

// TestFollowRefused names what can't be followed.
func TestFollowRefused(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addTexts("app", "v1", "name.txt", "one\n")
	for _, c := range []struct {
		target string
		flags  []string
		code   int
		says   string
	}{
		{"/app:v2", nil, 1, "has no app:v2"},
		{"/app:v1", []string{"--view", "rootfs"}, 1, "no image"},
		{"/app", nil, 2, "with a tag"},
	} {
		m := prepare(t, f.host+c.target, append([]string{"--follow"}, c.flags...)...)
		m.refused(t, m.command(), c.code, c.says)
		if mounted(t, m.dir) {
			t.Errorf("%s: something is mounted", c.target)
		}
	}
}
