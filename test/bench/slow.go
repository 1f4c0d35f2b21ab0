//go:build linux

package main

import (
	"context"
	"fmt"
	"strconv"
)

// slowFigure: long reads over a slow link.
var slowFigure = figure{
	name: "2",
	rows: []row{
		{"1 GiB, cold, slow link", "orasfs", "one curl", seconds, 0.16},
		{"the same", "orasfs", "8 curl -r", seconds, 1.1},
		{"the same with --concurrency 16", "orasfs 16", "16 curl -r", seconds, 1.1},
		{"the same with --concurrency 32", "orasfs 32", "32 curl -r", seconds, 1.1},
		{"16 MiB, cold, slow link", "orasfs 16 MiB", "8 curl -r of 16 MiB", seconds, 1.3},
	},
	prepare: func(ctx context.Context, w *workplace) ([]step, error) {
		host, err := w.link(ctx, w.registry, slow)
		if err != nil {
			return nil, err
		}
		big, err := w.blob(ctx, "big", w.size(1<<30))
		if err != nil {
			return nil, err
		}
		small, err := w.blob(ctx, "small", w.size(16<<20))
		if err != nil {
			return nil, err
		}
		steps := []step{w.curl("one curl", host, big), w.coldRead("orasfs", host, nil, big), w.curlRanges("8 curl -r", host, big, 8)}
		for _, n := range []int{16, 32} {
			steps = append(steps,
				w.coldRead(fmt.Sprint("orasfs ", n), host, []string{"--concurrency", strconv.Itoa(n)}, big),
				w.curlRanges(fmt.Sprint(n, " curl -r"), host, big, n))
		}
		return append(steps, w.coldRead("orasfs 16 MiB", host, nil, small), w.curlRanges("8 curl -r of 16 MiB", host, small, 8)), nil
	},
}

// readersFigure: several long reads at once that share little memory.
var readersFigure = figure{
	name: "18",
	rows: []row{{"8 readers of 8 blobs of 64 MiB, --memory 64MiB, cold, slow link", "orasfs", "8 curl at once", seconds, 1.3}},
	prepare: func(ctx context.Context, w *workplace) ([]step, error) {
		host, err := w.link(ctx, w.registry, slow)
		if err != nil {
			return nil, err
		}
		var blobs []blob
		for i := range 8 {
			b, err := w.blob(ctx, fmt.Sprint("reader ", i), w.size(64<<20))
			if err != nil {
				return nil, err
			}
			blobs = append(blobs, b)
		}
		return []step{
			w.coldRead("orasfs", host, []string{"--memory", "64MiB"}, blobs...),
			timed("8 curl at once", func(ctx context.Context) error {
				return each(ctx, len(blobs), func(ctx context.Context, i int) error {
					return w.curlTo(ctx, "/dev/null", blobURL(host, blobs[i]))
				})
			}),
		}, nil
	},
}
