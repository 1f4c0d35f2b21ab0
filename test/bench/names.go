//go:build linux

package main

import (
	"context"
	"path/filepath"
	"time"
)

// manyNames are the files of an image of very many, and idle is how long the daemon is
// watched doing nothing.
const (
	manyNames = 600_000
	idle      = 10 * time.Second
)

// namesFigure: what it costs later that the kernel knows very many names.
var namesFigure = figure{
	name: "names",
	rows: []row{
		{"processor time in 10 s of doing nothing, after find of an image of 600,000 files", "idle", "a hundredth of 10 s", seconds, 1},
		{"the daemon's memory for a name that the kernel knows", "of a name", "1,000 bytes", bytesOf, 1},
		{"find once more", "warm", "orasfs, find in a new mount with the same cache", seconds, 1},
		{"256 MiB, cold, no limits, in that mount", "cat", "orasfs, cat in a new mount", seconds, 1.1},
	},
	prepare: func(ctx context.Context, w *workplace) ([]step, error) {
		if err := w.pushFiles(ctx, "names", w.count(manyNames)); err != nil {
			return nil, err
		}
		b, err := w.blob(ctx, "names", w.size(256<<20))
		if err != nil {
			return nil, err
		}
		kept := filepath.Join(w.dir, "names-cache")
		find := func(name string) func(context.Context, *mount) (results, error) {
			return func(ctx context.Context, m *mount) (results, error) {
				return timed(name, func(ctx context.Context) error {
					return w.run(ctx, "find", m.path(repository+":names", "rootfs")+"/", "-size", "+1")
				})(ctx)
			}
		}
		return []step{
			w.mounted(kept, w.registry, nil, find("cold")),
			w.mounted(kept, w.registry, nil, find("orasfs, find in a new mount with the same cache")),
			w.coldRead("orasfs, cat in a new mount", w.registry, nil, b),
			w.mounted("", w.registry, nil, func(ctx context.Context, m *mount) (results, error) {
				before, err := m.resident()
				if err != nil {
					return nil, err
				}
				if _, err := find("cold")(ctx, m); err != nil {
					return nil, err
				}
				measured, err := m.idle(ctx)
				if err != nil {
					return nil, err
				}
				after, err := m.resident()
				if err != nil {
					return nil, err
				}
				warm, err := find("warm")(ctx, m)
				if err != nil {
					return nil, err
				}
				cat, err := timed("cat", func(ctx context.Context) error { return w.cat(ctx, m.blob(b)) })(ctx)
				measured["of a name"], measured["1,000 bytes"] = (after-before)/float64(w.count(manyNames)), 1000
				measured["warm"], measured["cat"] = warm["warm"], cat["cat"]
				return measured, err
			}),
		}, nil
	},
}

// idle is what the daemon does when nobody asks for anything.
func (m *mount) idle(ctx context.Context) (results, error) {
	select { // what was begun may end first
	case <-time.After(idle):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	before, err := m.busy()
	if err != nil {
		return nil, err
	}
	select {
	case <-time.After(idle):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	after, err := m.busy()
	return results{"idle": after - before, "a hundredth of 10 s": idle.Seconds() / 100}, err
}

func bytesOf(v float64) string { return number(v) + " B" }
