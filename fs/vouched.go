package fs

import (
	"context"
	"slices"
	"sync"

	"github.com/hashicorp/golang-lru/v2"
	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/fs/archive"
	"github.com/orasfs/orasfs/resolver"
)

const (
	// maxVouched bounds the manifests and the blobs that are remembered of a repository.
	// What is forgotten can be read once what vouches for it has been looked into again.
	maxVouched = 16384
	// maxVouching bounds what is remembered to vouch for one.
	maxVouching = 16
)

// vouching is which manifests of a repository stand up for which others, and for blobs.
// Only manifests that may be read are asked, so that whoever isn't trusted puts nothing
// here; whether they may be read still the gate says.
type vouching struct {
	mu       sync.Mutex // guards what follows: a list is replaced and never changed
	listed   *lru.Cache[digest.Digest, []digest.Digest]
	held     *lru.Cache[digest.Digest, []digest.Digest]
	attached *lru.Cache[digest.Digest, []belonging]
}

// A belonging is that a manifest belongs to another one.
type belonging struct {
	subject digest.Digest
	// sure is that the manifest says so itself, or that the name of its tag does: what a
	// registry lists as a referrer may be none.
	sure bool
}

func newVouching() *vouching {
	return &vouching{
		listed:   newLRU[digest.Digest, []digest.Digest](maxVouched),
		held:     newLRU[digest.Digest, []digest.Digest](maxVouched),
		attached: newLRU[digest.Digest, []belonging](maxVouched),
	}
}

// take takes a manifest that may be read: what it lists, and what it holds.
func (v *vouching) take(m *resolver.Manifest) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, desc := range m.Manifests {
		vouch(v.listed, desc.Digest, m.Digest)
	}
	// The SOCI index that an image names is part of what is signed.
	if d, err := parseDigest(m.Annotations[archive.SOCIIndexDigest]); err == nil {
		vouch(v.listed, d, m.Digest)
	}
	if m.Config != nil {
		vouch(v.held, m.Config.Digest, m.Digest)
	}
	for _, layer := range m.Layers {
		if layer.Digest != "" {
			vouch(v.held, layer.Digest, m.Digest)
		}
	}
}

// remembers tells whether what a manifest says is still known: what was taken first is
// forgotten first.
func (v *vouching) remembers(m *resolver.Manifest) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	in, first := v.held, digest.Digest("")
	switch {
	case len(m.Manifests) > 0:
		in, first = v.listed, m.Manifests[0].Digest
	case m.Config != nil:
		first = m.Config.Digest
	case len(m.Layers) > 0:
		first = m.Layers[0].Digest
	}
	list, _ := in.Peek(first)
	return slices.Contains(list, m.Digest)
}

// vouch adds one that vouches for a digest, as the first to be asked.
func vouch(in *lru.Cache[digest.Digest, []digest.Digest], d, by digest.Digest) {
	before, _ := in.Get(d)
	if len(before) > 0 && before[0] == by {
		return
	}
	list := []digest.Digest{by}
	for _, other := range before {
		if other != by && len(list) < maxVouching {
			list = append(list, other)
		}
	}
	in.Add(d, list)
}

// attach takes that a manifest belongs to another one.
func (v *vouching) attach(d, subject digest.Digest, sure bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	before, _ := v.attached.Get(d)
	list := []belonging{{subject, sure}}
	for _, a := range before {
		switch {
		case a.subject == subject:
			list[0].sure = sure || a.sure
		case len(list) < maxVouching:
			list = append(list, a)
		}
	}
	v.attached.Add(d, list)
}

// detach takes that it doesn't.
func (v *vouching) detach(d, subject digest.Digest) {
	v.mu.Lock()
	defer v.mu.Unlock()
	before, _ := v.attached.Get(d)
	v.attached.Add(d, slices.DeleteFunc(slices.Clone(before), func(a belonging) bool { return a.subject == subject && !a.sure }))
}

// indexes are those that list a manifest.
func (v *vouching) indexes(d digest.Digest) []digest.Digest {
	v.mu.Lock()
	defer v.mu.Unlock()
	list, _ := v.listed.Get(d)
	return list
}

// holders are the manifests that have a blob.
func (v *vouching) holders(d digest.Digest) []digest.Digest {
	v.mu.Lock()
	defer v.mu.Unlock()
	list, _ := v.held.Get(d)
	return list
}

// subjects are the manifests that one belongs to, or is said to.
func (v *vouching) subjects(d digest.Digest) []digest.Digest {
	v.mu.Lock()
	defer v.mu.Unlock()
	list, _ := v.attached.Get(d)
	all := make([]digest.Digest, len(list))
	for i, a := range list {
		all[i] = a.subject
	}
	return all
}

func (v *vouching) sure(d, subject digest.Digest) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	list, _ := v.attached.Get(d)
	return slices.Contains(list, belonging{subject, true})
}

// attachedTo tells whether a manifest that is said to belong to another one does: by its
// own word, once.
func (r *repository) attachedTo(ctx context.Context, d, subject digest.Digest) bool {
	if r.vouching.sure(d, subject) {
		return true
	}
	m, err := r.parsed(ctx, d)
	switch {
	case err != nil:
		return false
	case subjectOf(m) != subject:
		r.vouching.detach(d, subject)
		return false
	}
	r.vouching.attach(d, subject, true)
	return true
}
