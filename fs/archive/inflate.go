package archive

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// inflate fetches a span, checks its digest, and returns its bytes of the
// stream.
func (s *Source) inflate(ctx context.Context, sp span) ([]byte, error) {
	if sp.codec == codecZero {
		return make([]byte, sp.length), nil
	}
	packed := make([]byte, sp.packed, sp.packed+inflateSlack)
	if n, err := s.Blob.ReadAt(ctx, packed, sp.blob); n < len(packed) {
		return nil, fmt.Errorf("read bytes %d-%d of layer %s: %w", sp.blob, sp.blob+sp.packed-1, s.Digest, err)
	}
	if sp.digestOf == digestOfPacked && sha256.Sum256(packed) != sp.digest {
		return nil, fmt.Errorf("span at %d of layer %s: %w", sp.stream, s.Digest, ErrDigest)
	}
	data, err := sp.unpack(packed)
	if err != nil {
		return nil, fmt.Errorf("span at %d of layer %s: %w: %w", sp.stream, s.Digest, ErrFormat, err)
	}
	if sp.digestOf == digestOfInflated && sha256.Sum256(data) != sp.digest {
		return nil, fmt.Errorf("span at %d of layer %s: %w", sp.stream, s.Digest, ErrDigest)
	}
	return data, nil
}

// inflateSlack is how many bytes after a span's last one an inflater may want to
// see although it needs none of their bits. They are zeros.
const inflateSlack = 8

// unpack inflates no more than what the span needs. The slack behind packed is
// zeros.
func (sp span) unpack(packed []byte) ([]byte, error) {
	var r io.Reader
	in := bytes.NewReader(packed)
	switch sp.codec {
	case codecStored:
		r = in
	case codecDeflate:
		in.Reset(packed[:min(len(packed)+inflateSlack, cap(packed))])
		d, err := newMemberReader(in, &flate.InflateCheckpoint{BitOffset: sp.bits, Window: sp.window})
		if err != nil {
			return nil, err
		}
		r = d
	case codecGzip:
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		r = z
	case codecZstd:
		d, err := newZstdReader(in)
		if err != nil {
			return nil, err
		}
		defer d.free()
		r = d
	default:
		return nil, fmt.Errorf("codec %d", sp.codec)
	}
	if _, err := io.CopyN(io.Discard, r, sp.skip); err != nil {
		return nil, fmt.Errorf("skip %d bytes: %w", sp.skip, err)
	}
	data := make([]byte, sp.length)
	if n, err := io.ReadFull(r, data); err != nil {
		return nil, fmt.Errorf("%d of %d bytes: %w", n, len(data), err)
	}
	return data, nil
}

// A byteReader is what flate reads without taking more than it needs.
type byteReader interface {
	io.Reader
	io.ByteReader
}

// A memberReader inflates gzip members one after the other (RFC 1952, 2.2), as
// one stream, and can tell where a deflate block ends. Checksums of members
// aren't compared: what is read has a digest.
type memberReader struct {
	in       byteReader
	inflater io.Reader
	options  []flate.ReaderOpt
	// began is called at the start of each member's deflate data.
	began    func()
	produced int64 // bytes that were read
}

// newMemberReader begins at a checkpoint, or, where that is nil, at a member's
// header.
func newMemberReader(in byteReader, at *flate.InflateCheckpoint) (*memberReader, error) {
	m := &memberReader{in: in}
	if at == nil {
		return m, m.next()
	}
	m.inflater = flate.NewReaderOpts(in, flate.WithResumeFrom(*at))
	return m, nil
}

// next begins the member that follows; io.EOF is that none does.
func (m *memberReader) next() error {
	if err := readGzipHeader(m.in); err != nil {
		return err
	}
	if m.began != nil {
		m.began()
	}
	m.inflater = flate.NewReaderOpts(m.in, m.options...)
	return nil
}

// Read implements io.Reader.
func (m *memberReader) Read(p []byte) (int, error) {
	for {
		n, err := m.inflater.Read(p)
		if n > 0 || !errors.Is(err, io.EOF) {
			if errors.Is(err, io.EOF) {
				err = nil // the next Read goes on
			}
			m.produced += int64(n)
			return n, err
		}
		var trailer [8]byte // CRC32 and ISIZE
		if _, err := io.ReadFull(m.in, trailer[:]); err != nil {
			return 0, unexpected(err)
		}
		if err := m.next(); err != nil {
			return 0, err
		}
	}
}

// maxGzipHeader bounds a member's header, in bytes: its name and its comment
// may be of any length.
const maxGzipHeader = 1 << 20

// Flags of a gzip header (RFC 1952, 2.3.1).
const (
	gzipHasCRC     = 1 << 1
	gzipHasExtra   = 1 << 2
	gzipHasName    = 1 << 3
	gzipHasComment = 1 << 4
)

// readGzipHeader reads up to a member's deflate data; io.EOF is that nothing
// is left, or zeros alone, which writers to tape leave and gzip(1) ignores.
func readGzipHeader(r byteReader) error {
	first, err := r.ReadByte()
	if err != nil {
		return err // io.EOF among them
	}
	if first == 0 {
		for first == 0 {
			if first, err = r.ReadByte(); err != nil {
				return err
			}
		}
		return errors.New("bytes after the last gzip member")
	}
	var h [10]byte
	h[0] = first
	if _, err := io.ReadFull(r, h[1:]); err != nil {
		return unexpected(err)
	}
	if h[0] != 0x1f || h[1] != 0x8b || h[2] != 8 {
		return errors.New("not a gzip member")
	}
	if h[3]&gzipHasExtra != 0 {
		var n [2]byte
		if _, err := io.ReadFull(r, n[:]); err != nil {
			return unexpected(err)
		}
		if _, err := io.CopyN(io.Discard, r, int64(n[0])|int64(n[1])<<8); err != nil {
			return unexpected(err)
		}
	}
	for _, flag := range []byte{gzipHasName, gzipHasComment} {
		if h[3]&flag == 0 {
			continue
		}
		for n := 0; ; n++ {
			c, err := r.ReadByte()
			if err != nil {
				return unexpected(err)
			}
			if c == 0 {
				break
			}
			if n > maxGzipHeader {
				return fmt.Errorf("a gzip header of more than %d bytes", maxGzipHeader)
			}
		}
	}
	if h[3]&gzipHasCRC != 0 {
		if _, err := io.CopyN(io.Discard, r, 2); err != nil {
			return unexpected(err)
		}
	}
	return nil
}

// unexpected is the error of something that ends in its middle.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// maxZstdWindow bounds what a frame may ask to be remembered, in bytes: what
// zstd -d takes without being told to take more (zstd --ultra, 27 bits).
const maxZstdWindow = 128 << 20

// zstdDecoders are kept for reuse: each has buffers of its own.
var zstdDecoders = sync.Pool{}

// A zstdReader decompresses frames one after the other, skippable ones left
// out (RFC 8878, 3.1).
type zstdReader struct{ *zstd.Decoder }

func newZstdReader(r io.Reader) (zstdReader, error) {
	if d, ok := zstdDecoders.Get().(*zstd.Decoder); ok {
		return zstdReader{d}, d.Reset(r)
	}
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
	return zstdReader{d}, err
}

// free gives the decoder back; it doesn't refer to what it read any more.
func (z zstdReader) free() {
	if z.Reset(nil) == nil {
		zstdDecoders.Put(z.Decoder)
	}
}

// A blobReader reads a blob from an offset on, in order.
type blobReader struct {
	ctx  context.Context
	blob Blob
	off  int64
	end  int64
}

// newBlobReader reads the bytes from off to end through a buffer of
// streamBuffer bytes.
func newBlobReader(ctx context.Context, blob Blob, off, end int64) *bufio.Reader {
	return bufio.NewReaderSize(&blobReader{ctx, blob, off, end}, streamBuffer)
}

// streamBuffer is how much of a blob is asked for at once where all of it is
// read, in bytes.
const streamBuffer = 512 << 10

// Read implements io.Reader.
func (r *blobReader) Read(p []byte) (int, error) {
	p = p[:min(int64(len(p)), r.end-r.off)]
	if len(p) == 0 {
		return 0, io.EOF
	}
	n, err := r.blob.ReadAt(r.ctx, p, r.off)
	r.off += int64(n)
	if errors.Is(err, io.EOF) {
		err = nil
		if n == 0 {
			err = io.ErrUnexpectedEOF
		}
	}
	if err != nil {
		err = readError{err}
	}
	return n, err
}
