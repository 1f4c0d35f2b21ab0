package cache

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// A body is what a Fetch gave. A read of it fails when no byte comes for
// Options.Timeout, or when its context ends, even if the stream below would
// wait on.
type body struct {
	ctx      context.Context
	stream   io.ReadCloser
	counts   *counters
	patience time.Duration
	timer    *time.Timer // runs while a read waits
	unwatch  func() bool
	once     sync.Once
}

// brokenOff is the error of a body that ended early, for whatever reason.
type brokenOff struct{ cause error }

func (e *brokenOff) Error() string { return "the body broke off: " + e.cause.Error() }
func (e *brokenOff) Unwrap() error { return e.cause }

// newBody takes the context the stream was fetched with, and what ends it.
func newBody(ctx context.Context, cancel context.CancelCauseFunc, stream io.ReadCloser, patience time.Duration, counts *counters) *body {
	b := &body{ctx: ctx, stream: stream, counts: counts, patience: patience}
	b.timer = time.AfterFunc(patience, func() { cancel(tooSlow("no byte", patience)) })
	b.timer.Stop()
	b.unwatch = context.AfterFunc(ctx, b.closeStream)
	return b
}

// Read is only called for bytes that must be there, so even the end of the
// stream is a brokenOff.
func (b *body) Read(p []byte) (int, error) {
	b.timer.Reset(b.patience)
	n, err := b.stream.Read(p)
	b.timer.Stop()
	b.counts.fetchedBytes.Add(int64(n))
	switch {
	case b.ctx.Err() != nil:
		err = context.Cause(b.ctx)
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return n, &brokenOff{err}
	}
	return n, nil
}

func (b *body) close() {
	b.timer.Stop()
	b.unwatch()
	b.closeStream()
}

// closeStream drops the stream's error: every byte that counts has been read.
func (b *body) closeStream() {
	b.once.Do(func() { _ = b.stream.Close() })
}
