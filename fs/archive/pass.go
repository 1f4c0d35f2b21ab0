package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"runtime/debug"
)

// maxStream bounds what a layer unpacks to, in bytes.
const maxStream = 1 << 40

// A pass is the one way through a compressed tar of which no table of contents
// is known: it unpacks all of it, finds the entries, and has a digest of the
// whole.
//
// Unpacking runs beside the rest, a few buffers ahead.
type pass struct {
	buffers chan []byte // unpacked, in order
	spare   chan []byte
	err     error // why unpacking ended; set before buffers is closed

	rest []byte // of the buffer that is being read
	held []byte // that buffer
	sum  hash.Hash
	size int64
}

// passBuffer is the size of a pass's buffers, in bytes, and passBuffers how
// many there are.
const (
	passBuffer  = 256 << 10
	passBuffers = 8
)

// indexPass reads all that unpacked gives and gives b the entries. It returns
// the stream's size and digest.
func indexPass(ctx context.Context, unpacked io.Reader, b *builder) (size int64, sum [sha256.Size]byte, err error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &pass{buffers: make(chan []byte, passBuffers), spare: make(chan []byte, passBuffers), sum: sha256.New()}
	for range passBuffers {
		p.spare <- make([]byte, passBuffer)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.unpack(ctx, unpacked)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	if err := scanTar(p, b); err != nil {
		return 0, sum, err
	}
	// What follows the tar's end belongs to the digest.
	for p.next() {
		p.rest = nil
	}
	if p.err != nil {
		return 0, sum, p.err
	}
	return p.size, [sha256.Size]byte(p.sum.Sum(nil)), nil
}

// unpack fills buffers until the end.
func (p *pass) unpack(ctx context.Context, unpacked io.Reader) {
	defer close(p.buffers)
	defer func() {
		if what := recover(); what != nil { // in a decompressor; the reader gets it
			p.err = fmt.Errorf("panic: %v\n%s", what, debug.Stack())
		}
	}()
	for total := int64(0); ; {
		var buffer []byte
		select {
		case buffer = <-p.spare:
		case <-ctx.Done():
			p.err = ctx.Err()
			return
		}
		n, err := fill(buffer[:passBuffer], unpacked)
		if total += int64(n); total > maxStream {
			err = fmt.Errorf("%w: it unpacks to more than %d bytes", ErrTooLarge, int64(maxStream))
		}
		if n > 0 {
			p.buffers <- buffer[:n] // there is room for all that there are
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			p.err = err
			return
		}
	}
}

// fill is io.ReadFull with the reader's own error: a stream that is over isn't
// one that broke off.
func fill(p []byte, r io.Reader) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = r.Read(p[n:])
		n += k
	}
	return n, err
}

// next makes rest what comes next; false is the end, or an error.
func (p *pass) next() bool {
	if len(p.rest) > 0 {
		return true
	}
	if p.held != nil {
		p.spare <- p.held
		p.held = nil
	}
	buffer, ok := <-p.buffers
	if !ok {
		return false
	}
	_, _ = p.sum.Write(buffer) // a hash never fails, see hash.Hash
	p.size += int64(len(buffer))
	p.held, p.rest = buffer, buffer
	return true
}

// Read implements tarInput.
func (p *pass) Read(to []byte) (int, error) {
	if !p.next() {
		if p.err != nil {
			return 0, p.err
		}
		return 0, io.EOF
	}
	n := copy(to, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// Skip implements tarInput.
func (p *pass) Skip(n int64) error {
	for n > 0 {
		if !p.next() {
			if p.err != nil {
				return p.err
			}
			return io.ErrUnexpectedEOF
		}
		k := min(n, int64(len(p.rest)))
		p.rest, n = p.rest[k:], n-k
	}
	return nil
}
