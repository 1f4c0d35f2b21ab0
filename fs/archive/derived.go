package archive

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// unpack is the stream from its first byte on, of a layer that is unpacked as a
// whole.
func (s *Source) unpack(ctx context.Context) (io.ReadCloser, error) {
	f, err := detect(ctx, s)
	if err != nil {
		return nil, err
	}
	in := newBlobReader(ctx, s.Blob, 0, s.Size)
	switch f.name {
	case "gzip":
		m, err := newMemberReader(in, nil)
		if err != nil {
			return nil, err
		}
		return &unpacking{stream: m, free: func() {}}, nil
	case "zstd":
		z := newZstdReader(ctx, in)
		return &unpacking{stream: z, free: z.free}, nil
	}
	return nil, fmt.Errorf("layer %s: %w", s.Digest, ErrFormat)
}

// An unpacking is a stream that may be closed while it is read, and again.
type unpacking struct {
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
	return u.stream.Read(p)
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
