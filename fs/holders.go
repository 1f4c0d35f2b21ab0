package fs

import (
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/cache"
	"github.com/orasfs/orasfs/resolver"
)

// Holders tells which repositories (HOST[:PORT]/NAME) what a cache holds was shown
// in: by what mounts noted of manifests, and by what those list that are here.
// What nobody came to by a name isn't in it.
func Holders(d *cache.Directory) map[digest.Digest][]string {
	holders := map[digest.Digest][]string{}
	for _, content := range d.Indexes(hasPrefix) {
		said, name, ok := strings.Cut(string(content), "\n")
		dg, err := parseDigest(said)
		if ok && err == nil {
			hold(d, holders, dg, name)
		}
	}
	return holders
}

// hold notes that a repository has a digest, and what the manifest of that digest
// lists, if it is one.
func hold(d *cache.Directory, holders map[digest.Digest][]string, dg digest.Digest, name string) {
	if slices.Contains(holders[dg], name) {
		return
	}
	holders[dg] = append(holders[dg], name)
	content := d.Document(dg)
	if content == nil {
		return
	}
	m, err := resolver.ParseManifest(dg, content)
	if err != nil {
		return // a blob, or a manifest of which only the document is shown
	}
	if m.Config != nil {
		hold(d, holders, m.Config.Digest, name)
	}
	for _, desc := range slices.Concat(m.Layers, m.Manifests) {
		if desc.Digest != "" { // a hole is nothing that is held
			hold(d, holders, desc.Digest, name)
		}
	}
}
