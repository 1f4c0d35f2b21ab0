package artifact

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

// addChart places a Helm chart under the names that helm pull gives it, and
// opened. Its layers have no titles: the names are in the config. A layer that
// has a title is where that says.
func (f *files) addChart(ctx context.Context) error {
	if f.Config == nil || f.Config.MediaType != mediaTypeChartConfig {
		return nil
	}
	c, err := f.chart(ctx)
	if err != nil {
		return fmt.Errorf("config %s: %w", f.Config.Digest, err)
	}
	archive := c.Name + "-" + c.Version + ".tgz"
	if i := f.untitled(mediaTypeChartContent); i >= 0 {
		if err := f.root.add([]string{archive}, Entry{Layer: i}); err != nil {
			return err
		}
		if err := f.root.add([]string{c.Name}, Entry{Layer: i, As: Unpacked, Path: c.Name}); err != nil {
			return err
		}
	}
	if i := f.untitled(mediaTypeChartProvenance); i >= 0 {
		return f.root.add([]string{archive + ".prov"}, Entry{Layer: i})
	}
	return nil
}

// untitled is the first layer of a media type that has no title; -1 is none.
func (f *files) untitled(mediaType string) int {
	return slices.IndexFunc(f.Layers, func(desc ocispec.Descriptor) bool {
		return desc.MediaType == mediaType && desc.Annotations[ocispec.AnnotationTitle] == ""
	})
}

// A chart is what its config says of it.
type chart struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// chart reads the config.
func (f *files) chart(ctx context.Context) (c chart, err error) {
	content, err := f.read(ctx, *f.Config)
	if err == nil {
		err = json.Unmarshal(content, &c)
	}
	if err == nil {
		err = checkElement(c.Name)
	}
	if err == nil {
		err = checkElement(c.Name + "-" + c.Version + ".tgz.prov")
	}
	return c, err
}
