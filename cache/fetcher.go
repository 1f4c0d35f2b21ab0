package cache

import (
	"context"
	"io"
)

// A Fetcher gets the bytes of one blob from where they are. It is what a cache
// asks when it doesn't have them.
type Fetcher interface {
	// Fetch asks for the n bytes of the blob from offset off on. wanted says how
	// urgent it is: nil is that a reader waits; else nobody does, until it is
	// closed.
	//
	// The body it returns are these bytes, or, where whole says so, all of the blob:
	// the source has sent that instead. It gives what it should or an error, each
	// Read in bounded time: retries are the fetcher's business. The context holds for
	// the body too. The body's Close may be called while a Read waits, which then
	// returns, and more than once.
	Fetch(ctx context.Context, off, n int64, wanted <-chan struct{}) (body io.ReadCloser, whole bool, err error)
}

// An Unpacker is a Fetcher that makes its blob of others, which it may read from
// the cache that asks it. It always sends the whole blob.
type Unpacker interface {
	Fetcher
	// Unpacks does nothing; it tells what the fetcher is.
	Unpacks()
}

// A Chooser is a Fetcher that has its blob from one of several sources.
type Chooser interface {
	Fetcher
	// PassOver is told that what came isn't the blob: from now on it is asked of
	// another source, where there is one. It doesn't wait for any.
	PassOver()
}

func passOver(f Fetcher) {
	if c, ok := f.(Chooser); ok {
		c.PassOver()
	}
}

func unpacks(f Fetcher) bool {
	_, ok := f.(Unpacker)
	return ok
}
