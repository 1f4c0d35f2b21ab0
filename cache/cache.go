package cache

import (
	"container/list"
	"context"
	// The algorithms that the OCI image specification registers; go-digest
	// knows a digest's algorithm only where it is linked in.
	_ "crypto/sha256"
	_ "crypto/sha512"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"log/slog"
	"time"

	"golang.org/x/sync/semaphore"
)

// errClosed is the error of whatever is asked after Close.
var errClosed = fmt.Errorf("the cache is closed: %w", fs.ErrClosed)

// Verify says when a large blob is verified. Small ones and documents always
// are before their first byte.
type Verify int

const (
	// VerifyLazy serves a large blob while it arrives and verifies it before
	// the last of its chunks is handed out.
	VerifyLazy Verify = iota
	// VerifyFull fetches and verifies all of a blob before its first byte.
	VerifyFull
)

// Options are what a cache is made of. The zero value is a cache in memory
// alone, with every default.
type Options struct {
	// Dir is the directory of the disk cache; several caches, and several
	// processes, may share one. "" is no disk.
	Dir string
	// Size bounds the disk cache, in bytes, whoever writes to it. 0 is 10 GiB.
	Size int64
	// Memory bounds the chunks held in memory, in bytes. 0 is 256 MiB. What
	// is on its way to a reader or to the disk comes on top: a chunk for each
	// connection, and 16 MiB.
	Memory int64
	// Verify is VerifyLazy by default.
	Verify Verify
	// Concurrency is how many connections the fetchers have: how many requests
	// of one blob are worth being under way at once. 0 is 8.
	Concurrency int
	// Timeout is half of the time after which a reader is told that it takes too
	// long. 0 is 30 s.
	Timeout time.Duration
	// WaitForDisk has who fetches wait for a disk that is slower, however long: nothing
	// that came is given up for that, as it is where readers are to have it soon.
	WaitForDisk bool
	// Log is where failures are reported. nil discards them.
	Log *slog.Logger
}

func (o *Options) setDefaults() {
	if o.Size <= 0 {
		o.Size = 10 << 30
	}
	if o.Memory <= 0 {
		o.Memory = 256 << 20
	}
	if o.Concurrency <= 0 {
		o.Concurrency = 8
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// A Cache keeps blobs and documents in memory and on disk. Its methods may be
// called by several goroutines at once.
type Cache struct {
	options Options
	log     *slog.Logger
	memory  *memory
	latest  latest
	disk    *disk // nil without one
	seed    maphash.Seed
	counts  counters

	tables  tables  // of large blobs
	smalls  flights // small blobs on their way
	kept    flights // what is being made, see Keep
	wrong   *wrongdoings
	ahead   budget
	filling *semaphore.Weighted // bytes of what is being made

	ctx    context.Context // of fetches: it outlives the reader that began one
	cancel context.CancelCauseFunc
	work   workers
}

// maxAhead bounds what is read ahead where a disk takes it, in bytes.
const maxAhead = 1 << 30

// Open makes a cache. It creates Options.Dir, with mode 0700. Where that can be
// read and not be written, what it holds is served. The error says which
// directory can't be used and why.
func Open(o Options) (*Cache, error) {
	o.setDefaults()
	kept := min(max(o.Memory/8, minLatest), maxLatest)
	memory, err := newMemory(max(o.Memory-kept, o.Memory/2))
	if err != nil {
		return nil, err
	}
	c := &Cache{
		options: o,
		log:     o.Log,
		memory:  memory,
		latest:  latest{most: int(kept)},
		seed:    maphash.MakeSeed(),
		wrong:   newWrongdoings(),
		ahead:   budget{total: o.Memory / 4, who: make(map[*plan]time.Time)},
		filling: semaphore.NewWeighted(maxFilling),
		work:    workers{log: o.Log},
	}
	c.tables = tables{cache: c, byKey: make(map[Key]*table), idle: list.New()}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	if o.Dir != "" {
		if c.disk, err = openDisk(o.Dir, o.Size, o.Log, &c.counts, &c.work); err != nil {
			memory.close()
			return nil, err
		}
		c.disk.queue.waits = o.WaitForDisk
		c.ahead.total = max(c.ahead.total, min(maxAhead, o.Size/4))
	}
	return c, nil
}

// Close ends every fetch and waits for it. Reads that are waiting fail, as do
// later ones. What is on disk stays there.
func (c *Cache) Close() error {
	c.cancel(errClosed)
	if c.disk != nil {
		c.disk.queue.end()
	}
	c.work.wait()
	for _, t := range c.tables.all() {
		t.mu.Lock()
		detach := t.detach()
		t.mu.Unlock()
		detach()
	}
	c.memory.close()
	return nil
}

// closedOr is err, or errClosed where it comes from the end of the cache.
func (c *Cache) closedOr(err error) error {
	if errors.Is(err, context.Canceled) && c.ctx.Err() != nil {
		return errClosed
	}
	return err
}
