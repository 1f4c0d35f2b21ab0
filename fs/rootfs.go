package fs

import (
	"github.com/orasfs/orasfs/fs/artifact"
	"github.com/orasfs/orasfs/resolver"
)

// isImage tells whether a manifest's layers can be applied.
func isImage(m *resolver.Manifest) bool { return artifact.IsImage(m.Config, m.Layers) }

// rootfs shows the image's layers applied.
func (a *repositoryArtifact) rootfs() *view { return a.layerView(allLayers, "") }

// layerView shows what is below a path in layer i.
func (a *repositoryArtifact) layerView(i int, path string) *view {
	return &view{repo: a.repo, manifest: a.Digest, layer: i, path: path, created: a.Created}
}
