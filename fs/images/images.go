package images

import (
	"container/list"
	"context"
	"log/slog"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/orasfs/orasfs/fs/archive"
)

// A Blob is the bytes of a layer, open for reading.
type Blob interface {
	archive.Blob
	// Verified tells whether the bytes are known to match their digest.
	Verified() bool
	// Generation tells apart what has been the blob's content: it is another
	// after that was found wrong.
	Generation() uint64
	Close() error
}

// A Source is what a layer is made of.
type Source struct {
	archive.Source // without its Blob, ZTOC and Passed
	// Key tells layers apart that may be indexed differently, and whose word
	// their bytes are.
	Key string
	// Open opens the layer's bytes.
	Open func() (Blob, error)
	// Table is its table of contents that lies beside it, nil where there is none. Who
	// may put one there is whose word the layer is: Key has to tell that, too.
	Table func(ctx context.Context, s *archive.Source) []byte
}

// A Maker tells what an image is made of.
type Maker interface {
	// Sources are the image's layers, the lowest first. One that is shown by
	// itself has one.
	Sources(ctx context.Context) ([]*Source, error)
}

// A Store keeps trees on disk. PutIndex tells whether it has.
type Store interface {
	Index(key string) ([]byte, bool)
	PutIndex(key string, index []byte) bool
}

// Options are what Images need. All fields are required.
type Options struct {
	// Memory bounds what is held and what openings take, in bytes.
	Memory int64
	// Lend is told how many bytes more of Memory, or fewer, are in use here: who
	// uses the rest has so much less.
	Lend  func(bytes int64)
	Store Store
	Log   *slog.Logger
	// Context ends with everything that runs.
	Context context.Context
	// Run runs do in a goroutine that its owner waits for, and then ended with
	// its error. false is that nothing runs any more.
	Run func(do func() error, ended func(error)) bool
}

// minMemory is what Images have at least, in bytes.
const minMemory = 32 << 20

// Images are what is open. They are safe for concurrent use.
type Images struct {
	options  Options
	holds    int64 // bytes that may be held
	room     *room
	failures failures
	spoilt   *lru.Cache[string, struct{}] // trees on disk that aren't of the layers as they are

	mu       sync.Mutex // guards what follows
	openings map[string]*opening
	layers   map[string]*layer
	trees    map[string]*list.Element // of held
	held     *list.List               // of *holding, the last used first
	bytes    int64                    // that those take
	passes   uint64                   // that were begun
	closed   bool                     // nothing is held any more
	changed  chan struct{}            // closed when more is known of some layer
}

// New makes Images that hold nothing.
func New(o Options) *Images {
	memory := max(o.Memory, minMemory)
	return &Images{
		options: o, holds: memory / 4, room: newRoom(memory, o.Lend), failures: newFailures(), spoilt: newLRU[struct{}](),
		openings: map[string]*opening{}, layers: map[string]*layer{}, trees: map[string]*list.Element{}, held: list.New(),
		changed: make(chan struct{}),
	}
}

// A holding is what is held without being used.
type holding struct {
	tree  *Tree  // or
	layer *layer // one of both
	size  int64
}

// hold puts something in front of what is held, and gives up the last until all
// of it is within its bound. What that used is returned, to be released after mu.
//
// s.mu is held.
func (s *Images) hold(h *holding) (e *list.Element, gone []*layer) {
	e = s.held.PushFront(h)
	s.options.Lend(h.size)
	for s.bytes += h.size; s.bytes > s.holds; {
		last := s.held.Back()
		if last == e {
			break // it alone is larger: it stays until something else comes
		}
		gone = append(gone, s.drop(last)...)
	}
	return e, gone
}

// holdingOf is what an element of held is.
func holdingOf(e *list.Element) *holding {
	h, _ := e.Value.(*holding) // nothing else is
	return h
}

// unhold takes something out of what is held.
//
// s.mu is held.
func (s *Images) unhold(e *list.Element) *holding {
	h := holdingOf(e)
	s.held.Remove(e)
	s.bytes -= h.size
	s.options.Lend(-h.size)
	return h
}

// drop gives up what is held, and returns the layers that this had in use: a
// layer that is held has one use of its own.
//
// s.mu is held.
func (s *Images) drop(e *list.Element) (gone []*layer) {
	h := s.unhold(e)
	if h.tree != nil {
		delete(s.trees, h.tree.key)
		for _, p := range h.tree.plain {
			gone = append(gone, p.layer)
		}
		return gone
	}
	if s.layers[h.layer.key] == h.layer {
		delete(s.layers, h.layer.key)
	}
	h.layer.element = nil
	h.layer.users++
	return []*layer{h.layer}
}

// progress wakes all who wait for more to be known of a layer.
func (s *Images) progress() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

// releaseAll ends one use of each.
func (s *Images) releaseAll(layers []*layer) {
	for _, l := range layers {
		l.release()
	}
}

// Close gives up what is held. It is called when nothing runs and nothing is asked
// any more.
func (s *Images) Close() {
	s.mu.Lock()
	var gone []*layer
	for s.held.Len() > 0 {
		gone = append(gone, s.drop(s.held.Back())...)
	}
	s.closed = true
	s.mu.Unlock()
	s.releaseAll(gone)
}
