package fs

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	maxArtifacts = 64
	// maxArtifactBytes bounds the manifests of the artifacts that are remembered, in
	// bytes together; what is made of one takes a few times as much. Real manifests
	// have some kilobytes. A large one is remembered as well: else it would be parsed
	// again for each of its names.
	maxArtifactBytes = 16 << 20
)

// artifacts are those that a mount remembers: the ones that were used last.
type artifacts struct {
	mu    sync.Mutex // guards what follows
	byKey *simplelru.LRU[string, *repositoryArtifact]
	bytes int64 // of the manifests
}

func newArtifacts() *artifacts {
	a := &artifacts{}
	byKey, err := simplelru.NewLRU(maxArtifacts, func(_ string, old *repositoryArtifact) { a.bytes -= old.Size })
	if err != nil {
		panic(err) // a constant positive size can't fail
	}
	a.byKey = byKey
	return a
}

func (a *artifacts) get(key string) (*repositoryArtifact, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.byKey.Get(key)
}

// has tells whether an artifact is remembered.
func (a *artifacts) has(key string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.byKey.Contains(key)
}

// add remembers an artifact, and forgets what is too much then.
func (a *artifacts) add(key string, added *repositoryArtifact) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.byKey.Remove(key)
	a.bytes += added.Size
	a.byKey.Add(key, added)
	for a.bytes > maxArtifactBytes && a.byKey.Len() > 1 {
		a.byKey.RemoveOldest()
	}
}
