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
// Unpacking runs beside the rest, a few pieces ahead.
type pass struct {
	pieces chan []byte // of the stream, in order
	err    error       // why unpacking ended; set before pieces is closed

	rest []byte // of the piece that is being read
	sum  hash.Hash
	size int64
}

// An unpacker gives a stream piece by piece. A piece is at most passPiece bytes, and
// stays as it is; one may be empty. io.EOF comes without a piece.
type unpacker interface {
	unpack() (piece []byte, err error)
}

// passPiece bounds a piece, in bytes, and passPieces how many wait to be read.
const (
	passPiece  = 256 << 10
	passPieces = 8
)

// indexPass reads all that u gives and gives b the entries. It returns the stream's
// size and digest.
func indexPass(ctx context.Context, u unpacker, b *builder) (size int64, sum [sha256.Size]byte, err error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &pass{pieces: make(chan []byte, passPieces), sum: sha256.New()}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.unpack(ctx, u)
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

// unpack unpacks until the end.
func (p *pass) unpack(ctx context.Context, u unpacker) {
	defer close(p.pieces)
	defer func() {
		if what := recover(); what != nil { // in a decompressor; the reader gets it
			p.err = fmt.Errorf("panic: %v\n%s", what, debug.Stack())
		}
	}()
	for total := int64(0); ; {
		piece, err := u.unpack()
		if total += int64(len(piece)); total > maxStream {
			err = fmt.Errorf("%w: it unpacks to more than %d bytes", ErrTooLarge, int64(maxStream))
		}
		if len(piece) > 0 {
			select {
			case p.pieces <- piece:
			case <-ctx.Done():
				p.err = ctx.Err()
				return
			}
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

// next makes rest what comes next; false is the end, or an error.
func (p *pass) next() bool {
	if len(p.rest) > 0 {
		return true
	}
	piece, ok := <-p.pieces
	if !ok {
		return false
	}
	_, _ = p.sum.Write(piece) // a hash never fails, see hash.Hash
	p.size += int64(len(piece))
	p.rest = piece
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
