//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
)

// curl downloads a blob with one curl and throws it away.
func (w *workplace) curl(name, host string, b blob, flags ...string) step {
	return timed(name, func(ctx context.Context) error { return w.curlTo(ctx, "/dev/null", blobURL(host, b), flags...) })
}

// curlRanges downloads a blob with n curls at once, each a part of it, and
// throws it away.
func (w *workplace) curlRanges(name, host string, b blob, n int) step {
	return timed(name, func(ctx context.Context) error { return w.ranges(ctx, n, blobURL(host, b), b.Size) })
}

func (w *workplace) ranges(ctx context.Context, n int, url string, size int64, flags ...string) error {
	return w.rangesTo(ctx, n, url, size, func(int) string { return "/dev/null" }, flags...)
}

// rangesTo downloads a blob with n curls at once, part i into the file of that name.
func (w *workplace) rangesTo(ctx context.Context, n int, url string, size int64, file func(i int) string, flags ...string) error {
	return each(ctx, n, func(ctx context.Context, i int) error {
		first, end := size*int64(i)/int64(n), size*int64(i+1)/int64(n)
		return w.curlTo(ctx, file(i), url, append(slices.Clone(flags), "-r", fmt.Sprintf("%d-%d", first, end-1))...)
	})
}

func (w *workplace) curlTo(ctx context.Context, file, url string, flags ...string) error {
	return w.run(ctx, "curl", append([]string{"-sSf", "-o", file, url}, flags...)...)
}
