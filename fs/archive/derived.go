package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/orasfs/orasfs/fs/archive/deflate"
)

// unpack is the stream from its first byte on, of a layer that is unpacked as a
// whole.
func (s *Source) unpack(ctx context.Context) (io.ReadCloser, error) {
	f, err := detect(ctx, s)
	if err != nil {
		return nil, s.blame(ctx, err)
	}
	u := &unpacking{ctx: ctx, source: s, free: func() {}}
	switch f.name {
	case "gzip":
		if u.stream, err = newMemberStream(deflate.NewInput(wholeOf(ctx, s), streamBuffer)); err != nil {
			return nil, s.blame(ctx, badContentOf(f.name, err))
		}
	case "zstd":
		z := newZstdReader(ctx, newBlobReader(ctx, s))
		u.stream, u.free = z, z.free
	default:
		return nil, s.blame(ctx, fmt.Errorf("layer %s: %w", s.Digest, ErrFormat))
	}
	return u, nil
}

// An unpacking is a stream that may be closed while it is read, and again.
type unpacking struct {
	ctx    context.Context
	source *Source

	mu     sync.Mutex // held while it is read
	stream io.Reader
	free   func()
	closed bool
}

// Read implements io.Reader.
func (u *unpacking) Read(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return 0, io.ErrClosedPipe
	}
	n, err := u.stream.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = u.source.blame(u.ctx, badContentOf("unpack it", err))
	}
	return n, err
}

// Close implements io.Closer. It waits for a Read under way, which ends with the
// context.
func (u *unpacking) Close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.closed {
		u.closed = true
		u.free()
	}
	return nil
}
