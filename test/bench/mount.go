//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// A mount is one of a registry.
type mount struct {
	w          *workplace
	dir, cache string
	pid        int           // of the daemon
	took       time.Duration // until the command returned
}

// mount mounts a host with a cache directory, which needn't be there yet.
func (w *workplace) mount(ctx context.Context, cache, host string, flags ...string) (*mount, error) {
	dir, err := os.MkdirTemp(w.dir, "mount-")
	if err != nil {
		return nil, err
	}
	m := &mount{w: w, dir: dir, cache: cache}
	args := append([]string{"mount", "--cache-dir", cache}, flags...)
	began := time.Now()
	err = w.run(ctx, w.orasfs, append(args, host, dir)...)
	m.took = time.Since(began)
	if err == nil {
		m.pid, err = m.daemon()
	}
	if err != nil {
		return nil, errors.Join(err, m.close(ctx))
	}
	return m, nil
}

// daemon finds the process that serves the mount: by its program's file, since
// it is called orasfs whatever that file's name, and by its command line.
func (m *mount) daemon() (pid int, err error) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		process := filepath.Dir(file)
		program, _ := os.Readlink(filepath.Join(process, "exe"))
		line, err := os.ReadFile(file)
		if err == nil && program == m.w.orasfs && strings.Contains(string(line), "\x00"+m.dir+"\x00") {
			return strconv.Atoi(filepath.Base(process))
		}
	}
	return 0, fmt.Errorf("no process serves %s", m.dir)
}

// path is below the mountpoint.
func (m *mount) path(elements ...string) string {
	return filepath.Join(append([]string{m.dir}, elements...)...)
}

func (m *mount) blob(b blob) string {
	return m.path(repository, "_blobs", b.Digest.Algorithm().String(), b.Digest.Encoded())
}

// close unmounts and waits until the daemon has ended. Whatever has happened,
// nothing stays mounted and nothing goes on.
func (m *mount) close(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if m.pid == 0 {
		m.pid, _ = m.daemon()
	}
	err := m.w.run(ctx, m.w.orasfs, "umount", m.dir)
	if err != nil && m.pid != 0 {
		err = errors.Join(err, m.w.run(ctx, "umount", "--lazy", m.dir))
	}
	if m.pid != 0 {
		ended := until(ctx, func(context.Context) error {
			if syscall.Kill(m.pid, 0) == nil {
				return fmt.Errorf("the daemon of %s doesn't end", m.dir)
			}
			return nil
		})
		if ended != nil {
			err = errors.Join(err, ended, syscall.Kill(m.pid, syscall.SIGKILL))
		}
	}
	return errors.Join(err, os.Remove(m.dir))
}

// readBytes is how many bytes the daemon has read so far, from wherever.
func (m *mount) readBytes() (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", m.pid))
	if err != nil {
		return 0, err
	}
	var n float64
	if _, err := fmt.Sscanf(string(data), "rchar: %f", &n); err != nil {
		return 0, fmt.Errorf("/proc/%d/io: %w", m.pid, err)
	}
	return n, nil
}

// busy is how long the daemon has had a processor so far, in seconds.
func (m *mount) busy() (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", m.pid))
	if err != nil {
		return 0, err
	}
	// After the name in brackets: the state is field 3, utime 14 and stime 15.
	_, after, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", m.pid, data)
	}
	const perSecond = 100 // USER_HZ
	ticks := 0.0
	for _, field := range fields[11:13] {
		n, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return ticks / perSecond, nil
}

// mounted is a step with a mount and a cache directory, or with an empty one
// if that is "".
func (w *workplace) mounted(cache, host string, flags []string, do func(context.Context, *mount) (results, error)) step {
	return func(ctx context.Context) (measured results, err error) {
		dir := cache
		if dir == "" {
			dir = filepath.Join(w.dir, "cache")
			defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		}
		m, err := w.mount(ctx, dir, host, flags...)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, m.close(ctx)) }()
		return do(ctx, m)
	}
}

// cold is a step that takes the time of do with a mount that has an empty
// cache.
func (w *workplace) cold(name, host string, flags []string, do func(context.Context, *mount) error) step {
	return w.mounted("", host, flags, func(ctx context.Context, m *mount) (results, error) {
		return timed(name, func(ctx context.Context) error { return do(ctx, m) })(ctx)
	})
}

// coldRead is a step that reads blobs at once with such a mount.
func (w *workplace) coldRead(name, host string, flags []string, blobs ...blob) step {
	return w.cold(name, host, flags, func(ctx context.Context, m *mount) error {
		return each(ctx, len(blobs), func(ctx context.Context, i int) error { return w.cat(ctx, m.blob(blobs[i])) })
	})
}

// each does something n times at once.
func each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for i := range n {
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait()
}

// cat reads a file from its start to its end.
func (w *workplace) cat(ctx context.Context, file string) error { return w.run(ctx, "cat", file) }
