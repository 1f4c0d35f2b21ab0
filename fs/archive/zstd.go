package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/semaphore"
)

// zstdIndex indexes a tar in zstd frames. It decompresses all of it once; where
// the frames are small, they are spans, so that later only those are read that
// hold what is asked for.
func zstdIndex(ctx context.Context, s *Source, b *builder) (stream, error) {
	c, err := newSpanCutter(ctx, s, b)
	if err != nil {
		return stream{}, err
	}
	z := newZstdReader(ctx, c.in)
	defer z.free()
	z.began = func() {
		if !c.begun || c.length(z.produced) >= spanTarget(z.produced) {
			c.cut(z.produced, c.position(), span{stream: z.produced, blob: c.position(), codec: codecZstd})
		}
	}
	showPassed(s, b, c)
	size, sum, err := indexPass(ctx, &zstdPass{z, c}, b)
	if err != nil {
		return stream{}, badContentOf("zstd", err)
	}
	return c.finish(size, sum, b)
}

// A zstdPass is the stream of a layer that is cut at its frames.
type zstdPass struct {
	*zstdReader
	cutter *spanCutter
}

// Read implements io.Reader.
func (z *zstdPass) Read(p []byte) (int, error) {
	if err := z.cutter.hold(z.held == 0); err != nil {
		return 0, err
	}
	n, err := z.zstdReader.Read(p)
	if z.held > 0 {
		z.cutter.pass = nil // who has a large window waits for nobody
	}
	z.cutter.passed(p[:n])
	// A longer frame would have to be decompressed for one byte of it.
	if z.cutter.length(z.produced) > maxSpanTarget {
		z.cutter.giveUp()
	}
	return n, err
}

const (
	// maxZstdWindow bounds what a frame may ask to be remembered, in bytes: what
	// zstd -d takes without being told to take more (zstd --ultra, 27 bits).
	maxZstdWindow = 128 << 20
	// smallWindow is what most frames are content with: zstd's levels up to 19.
	smallWindow = 8 << 20
)

// largeWindows is what all windows that aren't small may have together, in bytes:
// one of the largest, or some others.
var largeWindows = semaphore.NewWeighted(maxZstdWindow)

// zstdDecoders are kept for reuse: each has buffers of its own, and the memory of
// a small window.
var zstdDecoders = sync.Pool{}

// A zstdReader decompresses frames one after the other, skippable ones left out
// (RFC 8878, 3.1), as one stream. It compares the checksum of a frame that has
// one. Its memory goes by the largest window of a frame so far; free gives that
// back.
type zstdReader struct {
	ctx    context.Context
	frames *frameReader
	// began, if not nil, is called at the start of each frame.
	began    func()
	produced int64 // bytes that were read

	within  bool // a frame
	decoder *zstd.Decoder
	held    int64 // of largeWindows
}

func newZstdReader(ctx context.Context, r io.Reader) *zstdReader {
	return &zstdReader{ctx: ctx, frames: newFrameReader(r)}
}

// Read implements io.Reader.
func (z *zstdReader) Read(p []byte) (int, error) {
	for {
		if !z.within {
			if err := z.next(); err != nil {
				return 0, err // io.EOF among them
			}
		}
		n, err := z.decoder.Read(p)
		z.produced += int64(n)
		if !errors.Is(err, io.EOF) {
			return n, err
		}
		z.within = false
		if n > 0 {
			return n, nil
		}
	}
}

// next begins the next frame.
func (z *zstdReader) next() error {
	if err := z.frames.next(); err != nil {
		return err
	}
	if z.began != nil {
		z.began()
	}
	if err := z.provide(z.frames.window); err != nil {
		return err
	}
	if err := z.decoder.Reset(z.frames); err != nil {
		return err
	}
	z.within = true
	return nil
}

// provide makes the decoder one that may have a window of so many bytes. For a
// large one it waits until others have given back theirs; while it waits it has
// none.
func (z *zstdReader) provide(window uint64) error {
	if window > maxZstdWindow {
		return fmt.Errorf("a window of %d bytes, at most %d are taken", window, maxZstdWindow)
	}
	large := int64(window) //nolint:gosec // checked above
	if z.decoder != nil && (large <= smallWindow || large <= z.held) {
		return nil
	}
	z.free()
	if large <= smallWindow {
		if d, ok := zstdDecoders.Get().(*zstd.Decoder); ok {
			z.decoder = d
			return nil
		}
	} else {
		if err := largeWindows.Acquire(z.ctx, large); err != nil {
			return readError{err} // the context's
		}
		z.held = large
	}
	var err error
	z.decoder, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
	if err != nil {
		largeWindows.Release(z.held)
		z.held = 0
	}
	return err
}

// free gives back the decoder, which doesn't refer to what it read any more. One
// that had a large window isn't kept: its memory would be.
func (z *zstdReader) free() {
	d := z.decoder
	switch z.decoder = nil; {
	case d == nil:
	case z.held > 0:
		d.Close()
		largeWindows.Release(z.held)
		z.held = 0
	case d.Reset(nil) == nil:
		zstdDecoders.Put(d)
	}
}
