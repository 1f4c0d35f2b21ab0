//go:build linux

package main

import (
	"context"
	"errors"
	"time"
)

// listingFigure: what an image that somebody looks into leaves to a long read, also
// where they have left before it was known.
var listingFigure = figure{
	name: "listing",
	rows: []row{
		{"192 MiB, cold, slow link, after ls of the rootfs of an image of 6 layers of 40 MiB", "after ls", "orasfs without the ls", seconds, 1.2},
		{"the same after half a second of that ls", "after an interrupted ls", "orasfs without the ls", seconds, 1.2},
	},
	prepare: func(ctx context.Context, w *workplace) ([]step, error) {
		host, err := w.link(ctx, w.registry, slow)
		if err != nil {
			return nil, err
		}
		b, err := w.blob(ctx, "listing", w.size(192<<20))
		if err != nil {
			return nil, err
		}
		if err := w.pushImage(ctx, "six", 6, w.size(40<<20)); err != nil {
			return nil, err
		}
		after := func(name string, most time.Duration) step {
			return w.mounted("", host, nil, func(ctx context.Context, m *mount) (results, error) {
				listing, cancel := context.WithTimeout(ctx, most)
				defer cancel()
				err := w.run(listing, "ls", m.path(repository+":six", "rootfs")+"/")
				if err != nil && !errors.Is(err, context.DeadlineExceeded) {
					return nil, err
				}
				return timed(name, func(ctx context.Context) error { return w.cat(ctx, m.blob(b)) })(ctx)
			})
		}
		return []step{
			after("after ls", time.Minute), after("after an interrupted ls", 500*time.Millisecond),
			w.coldRead("orasfs without the ls", host, nil, b),
		}, nil
	},
}
