//go:build linux

package main

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Images that are opened at once, and the files of each.
const (
	manyImages = 40
	smallFiles = 20_000
)

// memoryFigure: what opening images takes of the daemon's memory, where nobody knows
// yet what is in their layers.
var memoryFigure = figure{
	name: "memory",
	rows: []row{
		{"peak memory of ls of the rootfs of 1 image of 20,000 files, --memory 64MiB", "1 at once", memoryBound, mebibytes, 1},
		{"of 10 images at once", "10 at once", memoryBound, mebibytes, 1},
		{"of 40 images at once", "40 at once", memoryBound, mebibytes, 1},
	},
	prepare: func(ctx context.Context, w *workplace) ([]step, error) {
		files := w.count(smallFiles)
		for i := range manyImages {
			if err := w.pushFiles(ctx, fmt.Sprint("many-", i), files); err != nil {
				return nil, err
			}
		}
		steps := []step{func(context.Context) (results, error) { return results{memoryBound: 104 << 20}, nil }}
		for _, images := range []int{1, 10, manyImages} {
			steps = append(steps, w.mounted("", w.registry, []string{"--memory", "64MiB"}, func(ctx context.Context, m *mount) (results, error) {
				err := each(ctx, images, func(ctx context.Context, i int) error {
					return w.run(ctx, "ls", m.path(fmt.Sprint(repository, ":many-", i), "rootfs")+"/")
				})
				if err != nil {
					return nil, err
				}
				peak, err := m.peak()
				return results{fmt.Sprint(images, " at once"): peak}, err
			}))
		}
		return steps, nil
	},
}

// memoryBound is what the daemon may have: --memory, and 40 MiB for itself.
const memoryBound = "--memory and 40 MiB"

// pushFiles makes an image of small files in one gzip layer, in directories of 100.
func (w *workplace) pushFiles(ctx context.Context, tag string, files int) error {
	layer, err := w.layerOf(ctx, tag, func(archive *tar.Writer) error {
		for i := range files {
			header := tar.Header{Name: fmt.Sprintf("%03d/%s-%d", i/100, tag, i), Size: 200, Mode: 0o644}
			if err := archive.WriteHeader(&header); err != nil {
				return err
			}
			if _, err := io.WriteString(archive, strings.Repeat(header.Name, 200)[:200]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return w.tagImage(ctx, tag, layer)
}

// peak is the most memory that the daemon has had so far, in bytes.
func (m *mount) peak() (float64, error) { return m.status("VmHWM") }

// resident is the memory that the daemon has, in bytes.
func (m *mount) resident() (float64, error) { return m.status("VmRSS") }

// status is a field of /proc/PID/status of the daemon, which is in KiB there.
func (m *mount) status(field string) (float64, error) {
	data, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(m.pid), "status"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		var kib float64
		if _, err := fmt.Sscanf(line, field+": %f kB", &kib); err == nil {
			return kib * 1024, nil
		}
	}
	return 0, fmt.Errorf("the status of process %d has no %s", m.pid, field)
}
