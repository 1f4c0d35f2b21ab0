package archive

import (
	"bufio"
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
	p := &zstdPass{cutter: c, in: bufio.NewReaderSize(c.blob, streamBuffer)}
	p.frames = newZstdReader(ctx, p.in)
	defer p.frames.free()
	showPassed(s, b, c)
	size, sum, err := indexPass(ctx, p, b)
	if err != nil {
		return stream{}, badContentOf("zstd", err)
	}
	return c.finish(size, p.position(), sum, b)
}

// A zstdPass is the stream of a layer that is cut at its frames.
type zstdPass struct {
	cutter *spanCutter
	in     *bufio.Reader // of the cutter's blob
	frames *zstdReader
}

// position is the offset in the blob of what is decompressed next.
func (z *zstdPass) position() int64 { return z.cutter.blob.end() - int64(z.in.Buffered()) }

// unpack implements unpacker.
func (z *zstdPass) unpack() ([]byte, error) {
	c := z.cutter
	if err := c.hold(z.frames.held == 0); err != nil {
		return nil, err
	}
	if !z.frames.within {
		if err := z.frame(); err != nil {
			return nil, err
		}
	}
	out, from := c.room(passPiece)
	n, err := z.frames.decompress(out[from:])
	c.unpacked(n)
	// A longer frame would have to be decompressed for one byte of it.
	if c.length() > maxSpanTarget {
		c.giveUp()
	}
	return out[from : from+n : from+n], err
}

// frame begins the next frame; io.EOF is that none follows.
func (z *zstdPass) frame() error {
	if err := z.frames.find(); err != nil {
		return err
	}
	c := z.cutter
	if at := c.streamed; !c.begun || c.length() >= spanTarget(at) {
		c.cut(z.position(), span{stream: at, blob: z.position(), codec: codecZstd})
	}
	err := z.frames.begin()
	if z.frames.held > 0 {
		c.pass = nil // who has a large window waits for nobody
	}
	return err
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
			if err := z.find(); err != nil {
				return 0, err // io.EOF among them
			}
			if err := z.begin(); err != nil {
				return 0, err
			}
		}
		if n, err := z.decompress(p); n > 0 || err != nil {
			return n, err
		}
	}
}

// find comes to the next frame; io.EOF is that none follows.
func (z *zstdReader) find() error { return z.frames.next() }

// begin begins the frame that was found.
func (z *zstdReader) begin() error {
	if err := z.provide(z.frames.window); err != nil {
		return err
	}
	if err := z.decoder.Reset(z.frames); err != nil {
		return err
	}
	z.within = true
	return nil
}

// decompress fills p with what follows in the frame. It may be nothing, where the frame
// has ended.
func (z *zstdReader) decompress(p []byte) (int, error) {
	n, err := z.decoder.Read(p)
	if errors.Is(err, io.EOF) {
		z.within, err = false, nil
	}
	return n, err
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
