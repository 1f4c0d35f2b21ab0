package archive

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/orasfs/orasfs/fs/archive/deflate"
)

// inflate fetches a span, checks its digest, and returns its bytes of the
// stream. What is wrong may have been so once: then it is fetched again.
func (s *Source) inflate(ctx context.Context, sp span) ([]byte, error) {
	if sp.codec == codecZero {
		return make([]byte, sp.length), nil
	}
	data, err := s.inflateOnce(ctx, sp)
	if s.changed(ctx, sp.blob, sp.packed, err) {
		return s.inflateOnce(ctx, sp)
	}
	return data, err
}

func (s *Source) inflateOnce(ctx context.Context, sp span) ([]byte, error) {
	packed := make([]byte, sp.packed, sp.packed+deflate.Padding) // as unpack wants it
	if err := s.readChecked(ctx, packed, sp.blob); err != nil {
		return nil, err
	}
	if sp.digestOf == digestOfPacked && sha256.Sum256(packed) != sp.digest {
		return nil, fmt.Errorf("span at %d of layer %s: %w", sp.stream, s.Digest, ErrDigest)
	}
	data, err := sp.unpack(ctx, packed)
	if err != nil {
		return nil, fmt.Errorf("span at %d of layer %s: %w", sp.stream, s.Digest, badContentOf("unpack it", err))
	}
	if sp.digestOf == digestOfInflated && sha256.Sum256(data) != sp.digest {
		return nil, fmt.Errorf("span at %d of layer %s: %w", sp.stream, s.Digest, ErrDigest)
	}
	return data, nil
}

// readChecked fills p with the blob's bytes at off, which are compared with a
// digest before anybody gets them: one of a layer that is known, or of its table
// of contents. What a pass has come by has none that anybody vouches for.
func (s *Source) readChecked(ctx context.Context, p []byte, off int64) error {
	read := s.Blob.ReadAt
	if b, ok := s.Blob.(CheckedBlob); ok && s.passing == nil {
		read = b.ReadChecked
	}
	if n, err := read(ctx, p, off); n < len(p) {
		return fmt.Errorf("read bytes %d-%d of layer %s: %w", off, off+int64(len(p))-1, s.Digest, err)
	}
	return nil
}

// isWrong tells whether an error is that of bytes which aren't what they should
// be: they may have been spoilt on their way.
func isWrong(err error) bool { return errors.Is(err, ErrFormat) || errors.Is(err, ErrDigest) }

// changed tells whether n bytes at off, which turned out to be wrong by err, are
// others now.
func (s *Source) changed(ctx context.Context, off, n int64, err error) bool {
	b, ok := s.Blob.(CheckedBlob)
	if !isWrong(err) || !ok || s.passing != nil {
		return false
	}
	changed, doubting := b.Doubt(ctx, off, n)
	if doubting != nil {
		s.Log.Debug("what is wrong isn't fetched again", "layer", s.Digest, "error", doubting)
	}
	return changed
}

// unpack unpacks no more than what the span needs. Behind packed in its array there are
// [deflate.Padding] zeros.
func (sp span) unpack(ctx context.Context, packed []byte) ([]byte, error) {
	switch sp.codec {
	case codecStored:
		if int64(len(packed)) < sp.skip+sp.length {
			return nil, io.ErrUnexpectedEOF
		}
		return bytes.Clone(packed[sp.skip : sp.skip+sp.length]), nil
	case codecDeflate, codecGzip:
		return sp.inflate(packed)
	case codecZstd:
		d := newZstdReader(ctx, bytes.NewReader(packed))
		defer d.free()
		if _, err := io.CopyN(io.Discard, d, sp.skip); err != nil {
			return nil, fmt.Errorf("skip %d bytes: %w", sp.skip, err)
		}
		data := make([]byte, sp.length)
		if n, err := io.ReadFull(d, data); err != nil {
			return nil, fmt.Errorf("%d of %d bytes: %w", n, len(data), err)
		}
		return data, nil
	}
	return nil, fmt.Errorf("codec %d", sp.codec)
}

// inflate inflates a span's bytes, behind the window that the index has of what is before
// them.
func (sp span) inflate(packed []byte) ([]byte, error) {
	m := memberReader{in: deflate.NewInputBytes(packed[:len(packed)+deflate.Padding])}
	var window []byte
	var err error
	if sp.codec == codecGzip {
		err = m.next()
	} else if window, err = inflateWindow(sp.window); err == nil {
		err = m.inflater.Resume(m.in, sp.bits, len(window))
	}
	if err != nil {
		return nil, err
	}
	begin := len(window) + int(sp.skip)
	end := begin + int(sp.length)
	out := make([]byte, end+deflate.Spare)
	for n := copy(out, window); n < end; {
		if n, err = m.inflate(out, n); err != nil && n < end {
			return nil, fmt.Errorf("%d of %d bytes: %w", n-len(window), end-len(window), unexpected(err))
		}
	}
	if len(out) > int(sp.length+sp.length/4) {
		return bytes.Clone(out[begin:end]), nil // what is kept counts as its length
	}
	return out[begin:end:end], nil
}

// unexpected is the error of something that ends in its middle.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// A blobReader reads a blob from an offset on, in order.
type blobReader struct {
	ctx  context.Context
	read func(ctx context.Context, p []byte, off int64) (int, error)
	off  int64
	end  int64
}

// newBlobReader reads all of a blob through a buffer of streamBuffer bytes.
func newBlobReader(ctx context.Context, s *Source) *bufio.Reader {
	return bufio.NewReaderSize(wholeOf(ctx, s), streamBuffer)
}

// wholeOf reads all of a blob, in order.
func wholeOf(ctx context.Context, s *Source) *blobReader {
	r := &blobReader{ctx: ctx, read: s.Blob.ReadAt, end: s.Size}
	if w, ok := s.Blob.(WholeBlob); ok {
		r.read = w.ReadNext
	}
	return r
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
	n, err := r.read(r.ctx, p, r.off)
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
