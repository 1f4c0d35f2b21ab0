//go:build linux

package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// tagsFigure: many small questions.
var tagsFigure = figure{
	name: "19",
	rows: []row{{"ls -l of 500 tags, 20 ms", "orasfs", "xargs -P8 curl -I", seconds, 1.4}},
	prepare: func(ctx context.Context, w *workplace) ([]step, error) {
		host, err := w.link(ctx, w.registry, link{latency: 20 * time.Millisecond})
		if err != nil {
			return nil, err
		}
		urls, err := w.pushTags(ctx, host, w.count(500))
		if err != nil {
			return nil, err
		}
		return []step{
			w.cold("orasfs", host, nil, func(ctx context.Context, m *mount) error {
				return w.run(ctx, "ls", "-l", m.path(repository, "_tags")+"/")
			}),
			timed("xargs -P8 curl -I", func(ctx context.Context) error {
				// Eight processes, not one for each tag, which would measure
				// how fast the machine starts them.
				each := strconv.Itoa((len(urls) + 7) / 8)
				cmd := w.command(ctx, "xargs", "-P8", "-n"+each, "curl", "-sSfI", "-H", "Accept: "+ocispec.MediaTypeImageManifest)
				cmd.Stdin = strings.NewReader(strings.Join(urls, "\n"))
				return cmd.Run()
			}),
		}, nil
	},
}

// pushTags makes tags that each have a manifest of their own, and gives the
// URLs of those at host.
func (w *workplace) pushTags(ctx context.Context, host string, n int) ([]string, error) {
	config, err := w.pushJSON(ctx, ocispec.MediaTypeEmptyJSON, struct{}{})
	if err != nil {
		return nil, err
	}
	layers := []ocispec.Descriptor{config}
	var urls []string
	for i := range n {
		tag := fmt.Sprintf("v%03d", i)
		if err := w.tag(ctx, tag, ocispec.Manifest{
			ArtifactType: "application/vnd.example", Config: config, Layers: layers, Annotations: map[string]string{"n": tag},
		}); err != nil {
			return nil, err
		}
		urls = append(urls, fmt.Sprintf("http://%s/v2/%s/manifests/%s", host, repository, tag))
	}
	return urls, nil
}
