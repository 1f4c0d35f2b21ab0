package cache

import (
	"context"
	"io"
)

// A Fetcher gets the bytes of one blob from where they are. It is what a cache
// asks when it doesn't have them.
type Fetcher interface {
	// Fetch asks for the n bytes of the blob from offset off on.
	//
	// The body it returns begins at byte at of the blob: at is off where the
	// source serves ranges, and 0 where it sent the whole blob instead. A body
	// that ends early is an error of Read, io.ErrUnexpectedEOF. The context
	// holds for the body too. The body's Close may be called while a Read
	// waits, which then returns.
	//
	// wanted says how urgent it is: nil is that a reader waits. Else nobody does
	// yet, and it is closed once somebody does.
	Fetch(ctx context.Context, off, n int64, wanted <-chan struct{}) (body io.ReadCloser, at int64, err error)
}

// An Unpacker is a Fetcher that makes its blob of others, which it may read from
// the cache that asks it: it takes no slot of Options.Concurrency, since those
// others will. It always sends the whole blob.
type Unpacker interface {
	Fetcher
	// Unpacks does nothing; it tells what the fetcher is.
	Unpacks()
}

func unpacks(f Fetcher) bool {
	_, ok := f.(Unpacker)
	return ok
}
