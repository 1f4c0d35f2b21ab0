package fs

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/orasfs/orasfs/resolver"
)

// An artifact is a manifest and what its directory shows of it: the names, the
// time, the attributes. It is made once for a manifest and doesn't change.
type artifact struct {
	*resolver.Manifest
	repo     *repository
	created  time.Time
	platform string
	diffIDs  []digest.Digest // of an image, as its config gives them

	files     *folder
	layers    []layer
	platforms []string // names of an index's manifests; "" is one that was there before
}

// newArtifact names the parts of a manifest. What can't be had (the time of an
// image whose config can't be read) or named (a hostile title) is left out,
// with a line in the log.
func newArtifact(ctx context.Context, r *repository, m *resolver.Manifest) *artifact {
	a := &artifact{Manifest: m, repo: r, created: parseTime(m.Annotations[ocispec.AnnotationCreated])}
	if m.Config != nil && resolver.IsImageConfig(m.Config.MediaType) {
		config, err := r.imageConfig(ctx, *m.Config)
		if err != nil {
			r.tree.log.Warn("image's config not read, its time and platform are left out",
				"reference", r.reference(m.Digest.String()), "error", err)
		}
		if a.created.IsZero() {
			a.created = config.Created
		}
		a.platform = platformString(config.Platform)
		a.diffIDs = config.DiffIDs
	}
	a.layers = nameLayers(m.Layers)
	a.platforms = namePlatforms(m.Manifests)
	skipped := func(title string, err error) {
		r.tree.log.Warn("title left out of files", "reference", r.reference(m.Digest.String()), "title", title, "error", err)
	}
	a.files = titledFiles(m.Layers, skipped)
	a.files.addNames(m.Layers, dockerModelNames(m.Layers), skipped)
	a.files.addNames(m.Layers, a.ollamaNames(), skipped)
	a.addChart(ctx)
	return a
}

// parseTime reads an annotation's time (RFC 3339, annotations.md of the image
// specification). One that isn't is as good as none.
func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t
}

// platformString is os/architecture[/variant], as --platform of other tools.
func platformString(p ocispec.Platform) string {
	if p.OS == "" && p.Architecture == "" {
		return ""
	}
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// configName is the name of the config in the manifest's directory.
func configName(mediaType string) string {
	if isJSON(mediaType) {
		return "config.json"
	}
	return "config"
}

// A layer is a layer's descriptor and its name in layers/.
type layer struct {
	name string
	desc ocispec.Descriptor
}

// number is the name of the opened layer: the digits that the raw one's begins
// with.
func (l layer) number() string {
	number, _, _ := strings.Cut(l.name, "-")
	return number
}

// nameLayers numbers the layers from 0, with two digits or as many as the last
// needs, and names each by the last element of its title, or, where it has
// none that can be used, by its digest and media type.
func nameLayers(descs []ocispec.Descriptor) []layer {
	width := max(2, len(strconv.Itoa(len(descs)-1)))
	layers := make([]layer, len(descs))
	for i, desc := range descs {
		number := fmt.Sprintf("%0*d-", width, i)
		name := desc.Annotations[ocispec.AnnotationTitle]
		name = number + name[strings.LastIndexByte(name, '/')+1:]
		if name == number || checkElement(name) != nil {
			name = number + desc.Digest.Encoded()[:hexDigits] + extension(desc.MediaType)
		}
		layers[i] = layer{name: name, desc: desc}
	}
	return layers
}

// xattrs are the extended attributes of the manifest's directory.
func (a *artifact) xattrs() xattrs {
	x := annotations(a.Annotations)
	maps.Copy(x, describe(a.Digest, a.MediaType, a.Size))
	if a.ArtifactType != "" {
		x["user.oci.artifactType"] = a.ArtifactType
	}
	if a.platform != "" {
		x["user.oci.platform"] = a.platform
	}
	return x
}
