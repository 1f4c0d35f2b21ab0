package archive

import (
	"context"
	"sync/atomic"
)

// What a pass takes beside the index that it makes, in bytes: its buffers, and what it
// has of the span that is cut, packed and unpacked. That is asked for before it begins,
// by the size of the layer, so that not more begin than can go on together.
const (
	passBase = passPieces*passPiece + streamBuffer + 512<<10
	passSpan = 9 << 20 // as most spans are
)

// shareStep is the least that is asked for at once, in bytes.
const shareStep = 512 << 10

// A share is what opening a layer takes of Source.Room: what is asked for before it
// is taken, and isn't given back.
//
// While a pass goes on its unpacking side asks, which is the one that may hold
// a window of largeWindows: who has that must not wait for room, which others have
// that wait for a window. The side that finds the entries tells what they take,
// and is no more than some buffers behind.
type share struct {
	ctx   context.Context
	room  func(ctx context.Context, bytes int64, wait bool) error // nil asks nobody
	taken int64                                                   // so far

	index atomic.Int64 // bytes that the index takes
}

// upTo asks for as much as is missing to n bytes.
func (s *share) upTo(n int64, wait bool) error {
	if s.room == nil || n <= s.taken {
		return nil
	}
	more := max(n-s.taken, shareStep)
	if err := s.room(s.ctx, more, wait); err != nil {
		return readError{err} // it isn't the archive's fault
	}
	s.taken += more
	return nil
}

// pass asks for what a pass takes now: spans bytes for those that were cut, and cut for
// the one that is.
func (s *share) pass(spans, cut int64, wait bool) error {
	return s.upTo(passBase+cut+spans+s.index.Load(), wait)
}
