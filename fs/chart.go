package fs

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Helm's media types (Helm's documentation, "Use OCI-based registries").
const (
	mediaTypeChartConfig     = "application/vnd.cncf.helm.config.v1+json"
	mediaTypeChartContent    = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	mediaTypeChartProvenance = "application/vnd.cncf.helm.chart.provenance.v1.prov"
)

// addChart puts a Helm chart into files/ under the names that helm pull gives
// it, and opened. Its layers have no titles: the names are in the config.
func (a *artifact) addChart(ctx context.Context) {
	if a.Config == nil || a.Config.MediaType != mediaTypeChartConfig {
		return
	}
	chart, err := a.chart(ctx)
	if err == nil {
		err = a.placeChart(chart)
	}
	if err != nil {
		a.repo.tree.log.Warn("chart left out of files", "reference", a.repo.reference(a.Digest.String()), "error", err)
	}
}

// A chart is what its config says of it.
type chart struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

func (a *artifact) chart(ctx context.Context) (c chart, err error) {
	content, err := a.repo.small(ctx, *a.Config)
	if err == nil {
		err = json.Unmarshal(content, &c)
	}
	if err == nil {
		err = checkElement(c.Name)
	}
	if err == nil {
		err = checkElement(c.Name + "-" + c.Version + ".tgz.prov")
	}
	if err != nil {
		return chart{}, fmt.Errorf("config %s: %w", a.Config.Digest, err)
	}
	return c, nil
}

func (a *artifact) placeChart(c chart) error {
	archive := c.Name + "-" + c.Version + ".tgz"
	untitled := func(mediaType string) int {
		return slices.IndexFunc(a.Layers, func(desc ocispec.Descriptor) bool {
			return desc.MediaType == mediaType && desc.Annotations[ocispec.AnnotationTitle] == ""
		})
	}
	if i := untitled(mediaTypeChartContent); i >= 0 {
		if err := a.files.add([]string{archive}, fileEntry{layer: i}); err != nil {
			return err
		}
		if err := a.files.add([]string{c.Name}, fileEntry{layer: i, as: asUnpacked, path: c.Name}); err != nil {
			return err
		}
	}
	if i := untitled(mediaTypeChartProvenance); i >= 0 {
		return a.files.add([]string{archive + ".prov"}, fileEntry{layer: i})
	}
	return nil
}
