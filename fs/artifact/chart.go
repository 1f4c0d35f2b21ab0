package artifact

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strings"
)

// Helm's media types (Helm's documentation, "Use OCI-based registries").
const (
	mediaTypeChartConfig     = "application/vnd.cncf.helm.config.v1+json"
	mediaTypeChartContent    = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	mediaTypeChartProvenance = "application/vnd.cncf.helm.chart.provenance.v1.prov"
)

// addChart places a Helm chart under the names that helm pull gives it, and
// unpacked. Its layers have no titles: the names are in the config. A layer that
// has a title is where that says, and nowhere else.
func (f *files) addChart(ctx context.Context) error {
	if f.Config == nil || f.Config.MediaType != mediaTypeChartConfig {
		return nil
	}
	c, err := f.chart(ctx)
	if err != nil {
		return fmt.Errorf("config %s: %w", f.Config.Digest, err)
	}
	archive := c.Name + "-" + c.Version + ".tgz"
	if i := f.first(mediaTypeChartContent); i >= 0 {
		f.place(archive, Entry{Layer: i})
		f.place(c.Name, Entry{Layer: i, As: Chart})
	}
	if i := f.first(mediaTypeChartProvenance); i >= 0 {
		f.place(archive+".prov", Entry{Layer: i})
	}
	return nil
}

// first is the first layer of a media type that has no name yet; -1 is none.
func (f *files) first(mediaType string) int {
	for i, desc := range f.Layers {
		if desc.MediaType == mediaType && !f.named[i] {
			return i
		}
	}
	return -1
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

// ChartPath is where Helm puts a file that has that name in a chart's archive,
// from the chart's directory on. The first element of the name is the chart's
// directory, whatever it is called; an archive that was made on Windows may have
// backslashes for slashes (Helm, package loader, LoadArchiveFiles).
func ChartPath(name string) ([]string, error) {
	separator := "/"
	if strings.Contains(name, `\`) {
		separator = `\`
	}
	_, below, ok := strings.Cut(name, separator)
	if !ok {
		return nil, fmt.Errorf("%q is outside of the chart's directory", name)
	}
	return SplitPath(path.Clean(strings.ReplaceAll(below, separator, "/")))
}
