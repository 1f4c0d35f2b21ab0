//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// mmapFigure: a file of tensors, as inference programs read safetensors: by
// mmap, some of the tensors only, in whatever order.
var mmapFigure = figure{
	name: "17",
	rows: []row{
		{"every fifth tensor of 10 MiB of 1.2 GiB, by mmap, cold, slow link", "fifth", "oras blob fetch of all", seconds, 0.2},
		{"bytes fetched for that", "fifth, fetched", "bytes looked at", mebibytes, 1.3},
		{"the same, the last tensor first", "last first", "oras blob fetch of all", seconds, 0.2},
		{"bytes fetched for that", "last first, fetched", "bytes looked at", mebibytes, 1.3},
		{"the same, the last page first", "backwards", "oras blob fetch of all", seconds, 0.2},
		{"bytes fetched for that", "backwards, fetched", "bytes looked at", mebibytes, 1.3},
		{"one shard of five", "shard", "oras blob fetch of all", seconds, 0.2},
		{"bytes fetched for that", "shard, fetched", "bytes looked at", mebibytes, 1.3},
	},
	prepare: func(ctx context.Context, w *workplace) ([]step, error) {
		link, err := w.link(ctx, w.registry, slow)
		if err != nil {
			return nil, err
		}
		counter, err := w.countBytes(ctx, link)
		if err != nil {
			return nil, err
		}
		tensors := max(w.count(24), 1) * 5
		b, err := w.blob(ctx, "tensors", tensorsAt+int64(tensors)*tensorSize)
		if err != nil {
			return nil, err
		}
		var fifth, shard []int
		for i := range tensors / 5 {
			fifth, shard = append(fifth, 5*i), append(shard, tensors/5*2+i)
		}
		lastFirst := slices.Clone(fifth)
		slices.Reverse(lastFirst)
		return []step{
			w.toFile("oras blob fetch of all", func(ctx context.Context, file string) error {
				return w.orasFetch(ctx, counter.host, b, file)
			}),
			w.lookAt("fifth", "map", counter, b, fifth),
			w.lookAt("last first", "map", counter, b, lastFirst),
			w.lookAt("backwards", "map backwards", counter, b, fifth),
			w.lookAt("shard", "map", counter, b, shard),
		}, nil
	},
}

// A file begins with a header that says where the tensors are, and nothing
// puts them at the start of a page.
const (
	tensorsAt  = 100_008
	tensorSize = 10 << 20
)

// lookAt is a step that looks at the header and some tensors of a blob, in
// that order or, if how says so, at all of it backwards.
func (w *workplace) lookAt(name, how string, c *counter, b blob, tensors []int) step {
	parts, sum := []string{fmt.Sprintf("0+%d", tensorsAt)}, tensorsAt
	for _, i := range tensors {
		parts = append(parts, fmt.Sprintf("%d+%d", tensorsAt+i*tensorSize, tensorSize))
		sum += tensorSize
	}
	return w.mounted("", c.host, nil, func(ctx context.Context, m *mount) (results, error) {
		before := c.bytes.Load()
		t, err := w.read(ctx, how, m.blob(b), strings.Join(parts, ","))
		return results{
			name:               t.Mean,
			name + ", fetched": float64(c.bytes.Load() - before),
			"bytes looked at":  float64(sum),
		}, err
	})
}
