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
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/semaphore"
)

// ErrDigest is the error of content that doesn't match its digest, or the size
// that its descriptor gives.
var ErrDigest = errors.New("content doesn't match its digest")

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
	// Size bounds the disk cache, in bytes. 0 is 10 GiB.
	Size int64
	// Memory bounds the chunks held in memory, in bytes. 0 is 256 MiB. What
	// is being fetched comes on top: Concurrency times SmallBlob at the most.
	Memory int64
	// Verify is VerifyLazy by default.
	Verify Verify
	// Concurrency is how many fetches may run at once. 0 is 8.
	Concurrency int
	// Timeout is how long a body may send nothing before it is given up and
	// asked for again. One call of Fetch gets four times as long, since its
	// source has retries of its own, and one range ten times. 0 is 30 s.
	Timeout time.Duration
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
	disk    *disk // nil without one
	seed    maphash.Seed
	counts  counters

	// slots bounds the fetches at once. Read-ahead takes one only if it is
	// free, and leaves one free (see startAhead): a reader's demand goes first.
	slots      *semaphore.Weighted
	aheadSlots *semaphore.Weighted
	ahead      atomic.Int64        // bytes of all read-ahead windows together
	filling    *semaphore.Weighted // bytes of what is being made, see Keep

	ctx    context.Context // of fetches: it outlives the reader that began one
	cancel context.CancelCauseFunc
	work   workers

	mu        sync.Mutex // guards what follows; taken before a content's mu
	lastID    uint64
	contents  map[Key]*content
	documents map[digest.Digest]*flight
	kept      map[string]*flight

	idle       *list.List // of *content that nobody uses, the latest first
	idleChunks int        // what they cost

	suspects *lru.Cache[Key, struct{}] // what didn't match its digest; has its own lock
}

// Open makes a cache. It creates Options.Dir, with mode 0700, and looks
// through what is in it. The error says which directory can't be used and why.
func Open(o Options) (*Cache, error) {
	o.setDefaults()
	memory, err := newMemory(o.Memory)
	if err != nil {
		return nil, err
	}
	suspects, err := lru.New[Key, struct{}](maxSuspects)
	if err != nil {
		return nil, err
	}
	c := &Cache{
		options:    o,
		log:        o.Log,
		memory:     memory,
		seed:       maphash.MakeSeed(),
		slots:      semaphore.NewWeighted(int64(o.Concurrency)),
		aheadSlots: semaphore.NewWeighted(int64(max(1, o.Concurrency-1))),
		filling:    semaphore.NewWeighted(maxFilling),
		contents:   make(map[Key]*content),
		idle:       list.New(),
		suspects:   suspects,
		documents:  make(map[digest.Digest]*flight),
		kept:       make(map[string]*flight),
	}
	if o.Dir != "" {
		if c.disk, err = openDisk(o.Dir, o.Size, o.Log, &c.counts); err != nil {
			memory.close()
			return nil, err
		}
	}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	return c, nil
}

// Close ends every fetch and waits for it. Reads that are waiting fail, as do
// later ones. What is on disk stays there.
func (c *Cache) Close() error {
	c.cancel(errClosed)
	c.work.wait()
	c.mu.Lock()
	contents := make([]*content, 0, len(c.contents))
	for _, content := range c.contents {
		contents = append(contents, content)
	}
	c.mu.Unlock()
	var errs []error
	for _, content := range contents {
		content.mu.Lock()
		errs = append(errs, content.detach())
		content.mu.Unlock()
	}
	c.memory.close()
	return errors.Join(errs...)
}

// workers are the goroutines of a cache.
type workers struct {
	mu     sync.Mutex // guards closed, and adding to group while it isn't
	closed bool
	group  sync.WaitGroup
}

// run does work in a goroutine; false once the cache is closed.
func (w *workers) run(work func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	w.group.Go(work)
	return true
}

// wait ends the taking of new work and waits for what runs.
func (w *workers) wait() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.group.Wait()
}
