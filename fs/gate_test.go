package fs

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/fs/artifact"
	"github.com/orasfs/orasfs/fs/signed"
)

// A notary is a verifier that allows what it is told to.
type notary struct {
	mu    sync.Mutex // guards what follows
	key   string
	signs map[digest.Digest]bool
	asked []digest.Digest
}

func (n *notary) Verify(ctx context.Context, s signed.Subject) (string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, s.Descriptor.Digest)
	if err := s.Attached.Reachable(ctx); err != nil {
		return "", err
	}
	if digest.FromBytes(s.Content) != s.Descriptor.Digest || !n.signs[s.Descriptor.Digest] {
		return "", &signed.DeniedError{Who: "the notary", Why: "it isn't signed"}
	}
	return "the notary", nil
}

func (n *notary) Identity() (string, error) { return n.key, nil }

func (n *notary) sign(d digest.Digest, signs bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.signs == nil {
		n.signs = map[digest.Digest]bool{}
	}
	n.signs[d] = signs
}

// questions are those since the last call.
func (n *notary) questions() []digest.Digest {
	n.mu.Lock()
	defer n.mu.Unlock()
	defer func() { n.asked = nil }()
	return n.asked
}

// gatedTree is a tree in which a notary is asked, and what ends it.
func gatedTree(t *testing.T, dir string, n *notary, ttl, stale time.Duration) (tr *tree, end func()) {
	t.Helper()
	return treeWith(t, dir, Options{Verifier: n, TagTTL: ttl, MaxStale: stale})
}

// admits asks for a manifest in each way that leads to its content.
func admits(t *testing.T, r *repository, d digest.Digest) bool {
	t.Helper()
	_, first := r.artifact(t.Context(), d)
	for what, err := range map[string]error{
		"document": second(r.document(t.Context(), d)),
		"layout":   second(r.layout(t.Context(), d)),
		"archive":  second(imageLayers{r, d, artifact.AllLayers}.admitted(t.Context())),
		"manifest": second(r.manifest(t.Context(), d)),
		"file":     (&blobNode{repo: r, manifest: d}).admit(t.Context()),
	} {
		if signed.Denied(err) != signed.Denied(first) {
			t.Errorf("%s of %s: %v, where its directory is %v", what, d, err, first)
		}
	}
	if signed.Denied(first) && errnoOf(first) != syscall.EACCES {
		t.Errorf("a denial is %s", errnoNames[errnoOf(first)])
	}
	return first == nil
}

func second[T any](_ T, err error) error { return err }

// TestGate counts who is asked for what: one question for a digest, and none for what an
// index lists.
func TestGate(t *testing.T) {
	n, s := &notary{}, &source{content: "{}", blobs: map[digest.Digest]int64{}}
	tr, _ := gatedTree(t, t.TempDir(), n, 0, 0)
	r := newRepository(tr, s, "host/app", "host")
	layer := digest.FromString("layer")
	child := s.add(fmt.Sprintf(`,"layers":[{"mediaType":"text/plain","digest":%q,"size":5}]`, layer))
	index := s.addIndex(child)
	unsigned := s.add(`,"annotations":{"is":"unsigned"}`)
	s.blobs[layer] = 5
	n.sign(index, true)

	if admits(t, r, child) || admits(t, r, unsigned) {
		t.Error("what isn't signed is there")
	}
	if _, _, err := r.blob(t.Context(), layer); !signed.Denied(err) {
		t.Errorf("a blob of what isn't signed: %v", err)
	}
	if got := n.questions(); !slices.Equal(got, []digest.Digest{child, unsigned}) {
		t.Errorf("asked about %v, not once about each", got)
	}
	for range 2 {
		if !admits(t, r, index) || !admits(t, r, child) {
			t.Error("a signed index, or what it lists, isn't there")
		}
		if _, _, err := r.blob(t.Context(), layer); err != nil {
			t.Errorf("a blob of what is signed: %v", err)
		}
	}
	if got := n.questions(); !slices.Equal(got, []digest.Digest{index}) {
		t.Errorf("asked about %v, not once about the index", got)
	}
	again := newRepository(tr, s, "host/app", "host") // as if the first was forgotten
	for _, d := range []digest.Digest{index, child} {
		if _, err := again.artifact(t.Context(), d); err != nil {
			t.Errorf("when it was forgotten what the index lists: %v", err)
		}
	}
	if by, err := r.admit(t.Context(), child); err != nil || by != "index "+index.String()+", the notary" {
		t.Errorf("by %q, %v", by, err)
	}
	if _, err := newRepository(tr, s, "host/other", "host").artifact(t.Context(), child); !signed.Denied(err) {
		t.Errorf("in another repository: %v", err)
	}
}

// TestChildSigned has an index that isn't signed, of a manifest that is.
func TestChildSigned(t *testing.T) {
	n, s := &notary{}, &source{content: "{}"}
	tr, _ := gatedTree(t, t.TempDir(), n, 0, 0)
	r := newRepository(tr, s, "host/app", "host")
	child := s.add("")
	index := s.addIndex(child)
	n.sign(child, true)
	if admits(t, r, index) || !admits(t, r, child) {
		t.Error("an index that isn't signed is there, or what is isn't")
	}
}

// TestRevoked has a signature go: what was allowed is asked again after the tags' time to
// live, and a denial soon.
func TestRevoked(t *testing.T) {
	n, s := &notary{}, &source{content: "{}"}
	tr, _ := gatedTree(t, t.TempDir(), n, time.Nanosecond, 0)
	r := newRepository(tr, s, "host/app", "host")
	d := s.add("")
	n.sign(d, true)
	if !admits(t, r, d) {
		t.Fatal("what is signed isn't there")
	}
	n.sign(d, false)
	if admits(t, r, d) {
		t.Error("it is there without the signature")
	}
	n.sign(d, true)
	if admits(t, r, d) {
		t.Error("the denial isn't remembered")
	}
	tr.gate.denials.Purge() // as after denialHolds
	if !admits(t, r, d) {
		t.Error("it isn't there once it is signed again")
	}
}

// TestSignedInOutage has a mount that is made while the registry is down.
func TestSignedInOutage(t *testing.T) {
	dir, s := t.TempDir(), &source{content: "{}"}
	d, other := s.add(""), s.add(`,"annotations":{"is":"another"}`)
	mount := func(n *notary, stale time.Duration) (r *repository, end func()) {
		tr, end := gatedTree(t, dir, n, 0, stale)
		return newRepository(tr, s, "host/app", "host"), end
	}
	n := &notary{key: "one"}
	n.sign(d, true)
	r, end := mount(n, 0)
	if !admits(t, r, d) || admits(t, r, other) {
		t.Fatal("what is signed isn't there, or what isn't is")
	}
	end()

	s.down = true
	r, end = mount(&notary{key: "one"}, 0)
	if !admits(t, r, d) {
		t.Error("what was signed isn't there while the registry is down")
	}
	if _, err := r.artifact(t.Context(), other); err == nil {
		t.Error("what never was is there")
	}
	end()
	r, end = mount(&notary{key: "two"}, 0)
	if _, err := r.artifact(t.Context(), d); err == nil {
		t.Error("another key goes by the answer of the first")
	}
	end()
	r, end = mount(&notary{key: "one"}, time.Nanosecond)
	if _, err := r.artifact(t.Context(), d); err == nil {
		t.Error("it is there after --max-stale")
	}
	end()

	s.down = false
	r, end = mount(&notary{key: "one"}, 0)
	if admits(t, r, d) {
		t.Error("it is there without the signature")
	}
	end()
	s.down = true
	r, _ = mount(&notary{key: "one"}, 0)
	if _, err := r.artifact(t.Context(), d); err == nil {
		t.Error("what was denied last is there while the registry is down")
	}
}

// TestAttached has what refers to something signed: it can be looked at, by its digest.
func TestAttached(t *testing.T) {
	n, s := &notary{}, &source{content: "{}", tags: map[string]digest.Digest{}}
	tr, _ := gatedTree(t, t.TempDir(), n, 0, 0)
	r := newRepository(tr, s, "host/app", "host")
	d := s.add("")
	n.sign(d, true)
	refers := func(more string) digest.Digest {
		return s.add(fmt.Sprintf(`,"subject":{"mediaType":%q,"digest":%q,"size":%d}%s`, ocispec.MediaTypeImageManifest, d, len(s.manifests[d]), more))
	}
	sbom, signature, liar := refers(""), s.add(`,"annotations":{"is":"a signature"}`), s.add(`,"annotations":{"is":"no referrer"}`)
	child := s.add(`,"annotations":{"is":"listed by a referrer"}`)
	index := s.addDocument(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":5}],"subject":{"mediaType":%q,"digest":%q,"size":%d}}`,
		ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest, child, ocispec.MediaTypeImageManifest, d, len(s.manifests[d])))
	s.tags["latest"], s.tags["index"] = sbom, index
	s.tags["sha256-"+d.Encoded()+".other"] = signature
	s.tags[signed.SignatureTag(d)], s.tags["also"] = signature, signature
	if admits(t, r, sbom) {
		t.Error("a referrer is there that the registry hasn't told of")
	}
	r.placeReferrers(d, []ocispec.Descriptor{{Digest: sbom, ArtifactType: "a/b"}, {Digest: liar, ArtifactType: "a/b"}, {Digest: index, ArtifactType: "a/b"}})
	if _, err := r.resolve(t.Context(), signed.SignatureTag(d)); err != nil {
		t.Error(err)
	}
	if !admits(t, r, sbom) || !admits(t, r, signature) || !admits(t, r, index) {
		t.Error("what is attached to something signed isn't there")
	}
	if admits(t, r, liar) || admits(t, r, child) {
		t.Error("what doesn't refer, or what a referrer lists, is there")
	}
	for _, tag := range []string{"latest", "also", "index", "sha256-" + d.Encoded() + ".other"} {
		if _, err := r.resolve(t.Context(), tag); !signed.Denied(err) {
			t.Errorf("the tag %s leads to what is only attached: %v", tag, err)
		}
	}
	n.sign(d, false)
	tr.gate.verdicts.last.Purge()
	if admits(t, r, sbom) || admits(t, r, signature) {
		t.Error("what is attached to something that isn't signed any more is there")
	}
}

// TestTablesBesides has a SOCI index that somebody put beside a signed image: it could
// show other files than the layer has.
func TestTablesBesides(t *testing.T) {
	n, s := &notary{}, &source{content: "{}"}
	tr, _ := gatedTree(t, t.TempDir(), n, 0, 0)
	r := newRepository(tr, s, "host/app", "host")
	d := s.add("")
	n.sign(d, true)
	table := s.add(fmt.Sprintf(`,"subject":{"mediaType":%q,"digest":%q,"size":5}`, ocispec.MediaTypeImageManifest, d))
	r.placeReferrers(d, []ocispec.Descriptor{{Digest: table, ArtifactType: "a/b"}})
	if !admits(t, r, table) {
		t.Error("it can't be looked at")
	}
	if _, err := r.ztocs(t.Context(), table); !signed.Denied(err) {
		t.Errorf("it is used: %v", err)
	}
	named := s.add(`,"annotations":{"is":"a table"}`)
	image := s.add(fmt.Sprintf(`,"annotations":{"com.amazon.soci.index-digest":%q}`, named))
	n.sign(image, true)
	if !admits(t, r, image) {
		t.Fatal("the image isn't there")
	}
	if _, err := r.ztocs(t.Context(), named); err != nil {
		t.Errorf("one that a signed image names: %v", err)
	}
}

// TestRevokedSubject has a layout of something signed that refers to something else: what
// may not be read of that is left out, and isn't read where the layout is older.
func TestRevokedSubject(t *testing.T) {
	n, s := &notary{}, &source{content: "{}"}
	tr, _ := gatedTree(t, t.TempDir(), n, 0, 0)
	r := newRepository(tr, s, "host/app", "host")
	layer := digest.FromString("layer")
	subject := s.add(fmt.Sprintf(`,"layers":[{"mediaType":"text/plain","digest":%q,"size":5}]`, layer))
	refers := func(more string) digest.Digest {
		return s.add(fmt.Sprintf(`,"subject":{"mediaType":%q,"digest":%q,"size":%d}%s`, ocispec.MediaTypeImageManifest, subject, len(s.manifests[subject]), more))
	}
	one, two := refers(""), refers(`,"annotations":{"is":"the second"}`)
	for _, d := range []digest.Digest{one, two, subject} {
		n.sign(d, true)
	}
	c, err := r.layout(t.Context(), one)
	if err != nil {
		t.Fatal(err)
	}
	member, ok := c.Find(layer)
	if !ok {
		t.Fatal("the subject's layer isn't in the layout")
	}
	open := func() error {
		content, err := layoutContents{r}.Open(member)
		if err == nil {
			err = content.Close()
		}
		return err
	}
	if err := open(); err != nil {
		t.Error(err)
	}
	n.sign(subject, false)
	tr.gate.verdicts.last.Purge()
	if err := open(); !signed.Denied(err) {
		t.Errorf("it is read of a layout that is remembered: %v", err)
	}
	c, err = r.layout(t.Context(), two)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Find(layer); ok {
		t.Error("it is in another layout")
	}
}
