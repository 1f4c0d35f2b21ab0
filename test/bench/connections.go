//go:build linux

package main

import (
	"context"
	"strings"
)

// connectionsFigure: a registry that speaks HTTP/2, where it is the
// connections that are slow.
var connectionsFigure = figure{
	name: "4",
	rows: []row{
		{"128 MiB, cold, a TLS registry with HTTP/2, 10 MiB/s per connection", "orasfs", "8 curl --http1.1 -r", seconds, 1.1},
		{"the same", "orasfs", "one curl --http2", seconds, 0.16},
	},
	prepare: func(ctx context.Context, w *workplace) ([]step, error) {
		b, err := w.blob(ctx, "connections", w.size(128<<20))
		if err != nil {
			return nil, err
		}
		registry, err := w.startTLSRegistry(ctx)
		if err != nil {
			return nil, err
		}
		host, err := w.link(ctx, registry, link{rate: 10 << 20})
		if err != nil {
			return nil, err
		}
		url := strings.Replace(blobURL(host, b), scheme(false), scheme(true), 1)
		return []step{
			w.coldRead("orasfs", host, []string{"--insecure"}, b),
			timed("8 curl --http1.1 -r", func(ctx context.Context) error {
				return w.ranges(ctx, 8, url, b.Size, "-k", "--http1.1")
			}),
			timed("one curl --http2", func(ctx context.Context) error {
				return w.curlTo(ctx, "/dev/null", url, "-k", "--http2")
			}),
		}, nil
	},
}
