package fs

import "github.com/orasfs/orasfs/resolver"

// isImage tells whether a manifest is an image's, so that its layers can be
// applied: the config says so, and every layer is of a kind that layers are.
func (a *artifact) isImage() bool { return isImage(a.Manifest) }

func isImage(m *resolver.Manifest) bool {
	if m.Config == nil || !resolver.IsImageConfig(m.Config.MediaType) {
		return false
	}
	for _, desc := range m.Layers {
		if !isTar(desc.MediaType) {
			return false
		}
	}
	return true
}

// rootfs shows the image's layers applied.
func (a *artifact) rootfs() *view { return a.layerView(allLayers, "") }

// layerView shows what is below a path in layer i.
func (a *artifact) layerView(i int, path string) *view {
	return &view{repo: a.repo, manifest: a.Digest, layer: i, path: path, created: a.created}
}
