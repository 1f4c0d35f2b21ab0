package fs

import (
	"bytes"
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/cache"
)

// The cache holds bytes by digest, whoever gave them. That they are right says
// nothing of whether a repository has them, or whether who asks may see them
// there. So a digest is shown under a repository only on evidence:
//
//	a tag that the registry resolved, or a manifest or a blob that it answered for
//	what a manifest lists that is known here: config, layers, manifests of an index
//	what the registry told as a referrer
//	what was shown with these credentials before: a digest doesn't change
//
// A subject, or a digest in an annotation, is only claimed. Where there is no
// evidence and the cache has the bytes, the registry is asked for that one thing,
// once; bytes that are fetched from it are evidence themselves. A local layout
// needs none: what it has is what it has.
//
// What a mount was shown it goes on to show: the kernel would anyway.

const (
	// maxKnown bounds the digests that are known of a repository besides those
	// that were met. What was forgotten is asked for again.
	maxKnown = 16384
	// keyName and keyLength are of the key that the names of entries are made with.
	keyName, keyLength = "key", 32
	// hasPrefix begins the names of evidence on disk.
	hasPrefix = "has-"
)

// anonymous is the credential of what is asked without any.
func anonymous(context.Context) (string, error) { return "", nil }

// learn takes digests of which there is evidence.
func (r *repository) learn(list ...digest.Digest) {
	for _, d := range list {
		if !r.knows(d) {
			r.known.Add(d, false)
		}
	}
}

// knows tells whether there is evidence from this mount.
func (r *repository) knows(d digest.Digest) bool {
	return r.local || r.manifests.Contains(d) || r.blobs.Contains(d) || r.known.Contains(d)
}

// has fails unless there is evidence that the repository has the digest. Without
// any the question is put to the registry: nil is that it has it.
func (r *repository) has(ctx context.Context, d digest.Digest, question func(context.Context) error) error {
	if r.knows(d) {
		return nil
	}
	_, err := ask(ctx, r.tree, "has "+r.reference(d.String()), func(ctx context.Context) (struct{}, error) {
		var err error
		if !r.tree.evidence.has(ctx, r, d) {
			err = question(ctx)
		}
		if err == nil {
			r.learn(d)
		}
		return struct{}{}, err
	})
	return err
}

// reached notes on disk that the repository has a digest by which somebody came:
// it is to be there the next time, too, whether or not the registry is.
func (r *repository) reached(d digest.Digest) {
	if r.local {
		return
	}
	if noted, _ := r.known.Get(d); noted {
		return
	}
	r.known.Add(d, true)
	r.tree.evidence.keep(r, d)
}

// evidence is what is noted on disk of which repository has which digest: an
// entry of the cache for each, whose name nobody can tell without a key that
// stays beside it, and the credential. It holds the digest and the repository's name,
// for who wants to know what the cache has of which (Holders), and no credential.
type evidence struct {
	tree   *tree
	key    func() []byte
	noting notebook[shown]
}

// shown is that a repository has a digest.
type shown struct {
	repo   *repository
	digest digest.Digest
}

func newEvidence(t *tree) *evidence {
	e := &evidence{tree: t, key: sync.OnceValue(func() []byte { return evidenceKey(t.cache) })}
	e.noting = notebook[shown]{tree: t, write: e.write}
	return e
}

// evidenceKey is the key of a cache's evidence; a new one where it has none.
func evidenceKey(c *cache.Cache) []byte {
	if key, ok := c.Index(keyName); ok && len(key) == keyLength {
		return key
	}
	key := make([]byte, keyLength)
	_, _ = rand.Read(key) // it never fails
	c.PutIndex(keyName, key)
	// Another mount may have been faster.
	if kept, ok := c.Index(keyName); ok && len(kept) == keyLength {
		return kept
	}
	return key
}

// keepKey is called by who notes something. A mount reads the key once, so that after
// some days nothing would be older in the cache, and be evicted sooner: without the
// key all that was ever noted is lost to the next mount.
func (e *evidence) keepKey() {
	if _, ok := e.tree.cache.Index(keyName); !ok {
		e.tree.cache.PutIndex(keyName, e.key())
	}
}

// name is that of the entry for a digest. A repository's name begins with its
// registry's.
func (e *evidence) name(r *repository, credential string, d digest.Digest) string {
	return e.entryName(hasPrefix, r.name, credential, d.String())
}

// has tells whether it is noted that the repository has a digest.
func (e *evidence) has(ctx context.Context, r *repository, d digest.Digest) bool {
	credential, err := r.credential(ctx)
	if err != nil {
		e.tree.log.Warn("what was shown before isn't known", "reference", r.reference(d.String()), "error", err)
		return false
	}
	noted, ok := e.tree.cache.Index(e.name(r, credential, d))
	said, _, _ := strings.Cut(string(noted), "\n")
	return ok && said == d.String()
}

// keep notes that the repository has a digest.
func (e *evidence) keep(r *repository, d digest.Digest) { e.noting.add(shown{r, d}) }

// write notes a batch.
func (e *evidence) write(ctx context.Context, batch []shown) {
	// A helper may have to run for a credential: once for each registry.
	slices.SortStableFunc(batch, func(a, b shown) int { return strings.Compare(a.repo.origin, b.repo.origin) })
	var origin, credential string
	var err error
	for i, s := range batch {
		if i == 0 || s.repo.origin != origin {
			origin = s.repo.origin
			if credential, err = s.repo.credential(ctx); err != nil {
				e.tree.log.Warn("what is shown isn't noted", "reference", s.repo.name, "error", err)
			}
		}
		if err != nil {
			continue
		}
		name := e.name(s.repo, credential, s.digest)
		content := []byte(s.digest.String() + "\n" + s.repo.name)
		if noted, ok := e.tree.cache.Index(name); !ok || !bytes.Equal(noted, content) {
			e.tree.cache.PutIndex(name, content)
		}
	}
}
