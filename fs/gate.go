package fs

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hashicorp/golang-lru/v2"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/fs/signed"
	"github.com/orasfs/orasfs/resolver"
)

// This file decides which manifests may be read where only signed ones may
// (Options.Verifier): it is asked on every way to content. What is signed, by whom, is
// package signed's; which manifests and blobs belong together is vouched.go's.
//
//	repository.artifact    a manifest's directory and all below it, a pinned mount, what
//	                       a tag that is followed leads to now (followed.go), warm
//	repository.document    the document, and what a layout takes of it
//	repository.layout      a layout that is remembered
//	repository.blob        _blobs
//	repository.resolve     a tag that leads to what is only attached to something signed
//	                       (attached.go)
//	repository.ztocs       a table of contents that somebody put beside an image
//	imageLayers.admitted   what is in an archive
//	blobNode.Open          a file that the kernel has an inode of
//
// A manifest may be read if it is signed itself, if an index lists it that may be read
// for one of these reasons, or if it refers to one that may be read: signatures are to be
// looked at. Whatever is open stays open.
const (
	// denialHolds is how long a denial is remembered: who signs now is to be seen soon.
	denialHolds = 3 * time.Second
	maxVerdicts = 16384
	// maxAttached is how far from something signed what is attached to it may be: a
	// signature of an SBOM of an image is at 2.
	maxAttached = 8
)

// A gate is asked whether a manifest may be read. nil lets everything pass.
type gate struct {
	tree     *tree
	verifier signed.Verifier
	verdicts *answers[string] // by whom manifests are signed
	denials  *lru.Cache[string, denial]
	noting   notebook[vouched]
}

// A denial is the last one of a manifest.
type denial struct {
	err  error
	said time.Time
}

func newGate(t *tree, v signed.Verifier) *gate {
	if v == nil {
		return nil
	}
	g := &gate{tree: t, verifier: v, denials: newLRU[string, denial](maxVerdicts)}
	g.verdicts = newAnswers[string](t, "signature", maxVerdicts)
	g.noting = notebook[vouched]{tree: t, write: g.write}
	return g
}

// A notSignedError is that a manifest may not be read.
type notSignedError struct {
	reference string // of the manifest
	cause     error
}

func (e *notSignedError) Error() string { return e.reference + ": " + e.cause.Error() }
func (e *notSignedError) Unwrap() error { return e.cause }

// admit fails unless a manifest may be read, and tells by what.
func (r *repository) admit(ctx context.Context, d digest.Digest) (by string, err error) {
	if r.tree.gate == nil {
		return "", nil
	}
	by, err = r.tree.gate.admit(ctx, r, d, 0)
	if signed.Denied(err) {
		err = &notSignedError{r.reference(d.String()), err}
	}
	return by, err
}

// admit goes by what is attached first: a signature isn't asked for its own.
func (g *gate) admit(ctx context.Context, r *repository, d digest.Digest, depth int) (string, error) {
	if depth < maxAttached {
		for _, subject := range r.vouching.subjects(d) {
			if _, err := g.admit(ctx, r, subject, depth+1); err == nil && r.attachedTo(ctx, d, subject) {
				return fmt.Sprintf("it refers to %s", subject), nil
			}
		}
	}
	return g.trusted(ctx, r, d)
}

// trusted fails unless a manifest is signed, or listed by an index that is trusted.
func (g *gate) trusted(ctx context.Context, r *repository, d digest.Digest) (string, error) {
	var undecided error
	for _, index := range r.vouching.indexes(d) {
		by, err := g.trusted(ctx, r, index)
		if err == nil {
			return fmt.Sprintf("index %s, %s", index, by), nil
		}
		if !signed.Denied(err) {
			undecided = err
		}
	}
	by, err := g.signed(ctx, r, d)
	if undecided != nil && signed.Denied(err) {
		return "", undecided
	}
	return by, err
}

// signed asks who vouches for a manifest, and remembers the answer.
func (g *gate) signed(ctx context.Context, r *repository, d digest.Digest) (string, error) {
	key := r.reference(d.String())
	if last, ok := g.denials.Get(key); ok && time.Since(last.said) < denialHolds {
		return "", last.err
	}
	return g.verdicts.getOr(ctx, key, func(ctx context.Context) (string, error) {
		by, err := g.verify(ctx, r, d)
		switch {
		case signed.Denied(err):
			g.denials.Add(key, denial{err, time.Now()})
			g.noting.add(vouched{repo: r, digest: d, said: time.Now(), denied: true})
		case err == nil:
			g.denials.Remove(key)
			g.noting.add(vouched{repo: r, digest: d, by: by, said: time.Now()})
		}
		return by, err
	}, func(context.Context) (string, time.Time) { return g.noted(r, d) })
}

func (g *gate) verify(ctx context.Context, r *repository, d digest.Digest) (string, error) {
	content, err := r.anyDocument(ctx, d)
	if err != nil {
		return "", err
	}
	desc := ocispec.Descriptor{MediaType: resolver.DocumentType(content), Digest: d, Size: int64(len(content))}
	return g.verifier.Verify(ctx, signed.Subject{
		Name: r.name + "@" + d.String(), Descriptor: desc, Content: content, Attached: attached{r, desc},
	})
}

// A vouched is one thing to note: who vouches for a manifest, or that nobody does.
type vouched struct {
	repo   *repository
	digest digest.Digest
	by     string
	said   time.Time
	denied bool
}

// A notedVerdict is what is noted on disk, so that what could be read can be while the
// registry is down, for Options.MaxStale.
type notedVerdict struct {
	Digest digest.Digest `json:"digest"`
	By     string        `json:"by"` // "" is nobody
	Said   time.Time     `json:"said"`
}

// entry is the name of the entry for a manifest. Verifiers that may answer differently
// have others.
func (g *gate) entry(r *repository, d digest.Digest) (string, error) {
	identity, err := g.verifier.Identity()
	return g.tree.evidence.entryName("signed-", "signed", identity, r.name, d.String()), err
}

// read is what is noted of a manifest, the zero value where nothing is.
func (g *gate) read(entry string, d digest.Digest) (n notedVerdict) {
	content, ok := g.tree.cache.Index(entry)
	if !ok || json.Unmarshal(content, &n) != nil || n.Digest != d {
		return notedVerdict{}
	}
	return n
}

// noted is who was noted to vouch for a manifest, and when; never if nobody was.
func (g *gate) noted(r *repository, d digest.Digest) (by string, said time.Time) {
	entry, err := g.entry(r, d)
	n := g.read(entry, d)
	if age := time.Since(n.Said); err != nil || n.By == "" || age < 0 {
		return "", time.Time{}
	}
	return n.By, n.Said
}

// write notes a batch.
func (g *gate) write(_ context.Context, batch []vouched) {
	for _, v := range batch {
		entry, err := g.entry(v.repo, v.digest)
		if err != nil {
			continue // the programs are being exchanged
		}
		before := g.read(entry, v.digest)
		if before.By == v.by && (v.denied || v.said.Sub(before.Said) < g.tree.maxStale/notedAnew) {
			continue
		}
		if content, err := json.Marshal(notedVerdict{v.digest, v.by, v.said}); err == nil {
			g.tree.cache.PutIndex(entry, content)
		}
	}
}

// admitBlob fails unless a manifest that may be read has the blob.
func (r *repository) admitBlob(ctx context.Context, d digest.Digest) error {
	if r.tree.gate == nil {
		return nil
	}
	err := error(&notSignedError{r.reference(d.String()), &signed.DeniedError{
		Who: "orasfs", Why: "no signed manifest that was looked into here has this blob",
	}})
	for _, manifest := range r.vouching.holders(d) {
		if _, err = r.admit(ctx, manifest); err == nil {
			return nil
		}
	}
	return err
}

// vouchFor takes what a manifest that may be read says of others, unless that is
// remembered.
func (r *repository) vouchFor(m *resolver.Manifest) {
	if r.tree.gate != nil && !r.vouching.remembers(m) {
		r.vouching.take(m)
	}
}

// refers takes that a manifest is said to refer to another one.
func (r *repository) refers(d, subject digest.Digest) {
	if r.tree.gate != nil {
		r.vouching.attach(d, subject, false)
	}
}
