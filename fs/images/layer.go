package images

import (
	"container/list"
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/orasfs/orasfs/fs/archive"
)

// A layer is one that is open or being opened, for whatever images have it.
type layer struct {
	images *Images
	key    string
	source *Source
	began  time.Time // to be opened
	waiters
	done chan struct{} // closed when it is open, or err says why not

	// Set before done is closed.
	archive *archive.Layer
	blob    Blob
	err     error
	// generation is the blob's before anything was read of it, and pass the
	// pass's own (see File.Generation).
	generation, pass uint64

	passed atomic.Pointer[archive.Layer]

	// images.mu guards what follows.
	users   int
	element *list.Element // of images.held, nil while it is used
	closed  bool
}

// layer is a layer that is in use until it is released. It is being opened if it
// isn't open.
func (s *Images) layer(src *Source) (*layer, error) {
	if err := s.failures.of(src.Key); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.layers[src.Key]; l != nil {
		select {
		case <-l.done:
			s.use(l)
			return l, nil
		default:
		}
		if l.join() {
			s.use(l)
			return l, nil
		}
	}
	ctx, cancel := context.WithCancel(s.options.Context)
	s.passes++
	l := &layer{
		images: s, key: src.Key, source: src, began: time.Now(), done: make(chan struct{}), waiters: waiters{cancel: cancel, count: 1}, pass: firstPass + s.passes,
	}
	s.use(l)
	s.layers[src.Key] = l
	if !s.options.Run(func() error { return l.open(ctx) }, l.opened) {
		cancel()
		delete(s.layers, src.Key)
		return nil, context.Canceled
	}
	return l, nil
}

// use counts one more who uses a layer.
//
// s.mu is held.
func (s *Images) use(l *layer) {
	if l.users++; l.element != nil {
		s.unhold(l.element)
		l.element = nil
	}
}

// release ends one use of the layer, and with it one wait for it. One that is open
// is held for the next who needs it; what can't be used any more is closed.
func (l *layer) release() {
	select {
	case <-l.done:
	default:
		l.leave()
	}
	s := l.images
	s.mu.Lock()
	l.users--
	gone, unused := s.unused(l)
	s.mu.Unlock()
	if unused {
		l.close()
	}
	s.releaseAll(gone)
}

// unused holds a layer that nobody uses and that is open, or tells that it is to
// be closed. What has to make room for it is returned.
//
// s.mu is held.
func (s *Images) unused(l *layer) (gone []*layer, unused bool) {
	select {
	case <-l.done:
	default:
		return nil, false // opened deals with it
	}
	if l.users > 0 || l.closed || l.element != nil {
		return nil, false
	}
	if l.err != nil || s.closed || s.layers[l.key] != l {
		l.closed = true
		return nil, true
	}
	s.room.giveUp(l)
	l.element, gone = s.hold(&holding{layer: l, size: l.archive.Size() + fixedCost})
	return gone, false
}

// fixedCost is what something held takes beside its content, in bytes.
const fixedCost = 4 << 10

// open opens the layer: of the index that is kept, of its table of contents, or
// in a pass.
func (l *layer) open(ctx context.Context) (err error) {
	blob, err := l.source.Open()
	if err != nil {
		return err
	}
	l.blob, l.generation = blob, blob.Generation()
	source := l.source.Source
	source.Blob, source.Passed, source.MaxIndex = blob, l.show, l.images.room.size/2
	if l.archive, err = archive.OpenKept(&source); l.archive != nil || err != nil {
		return err
	}
	pass := l.images.room.pass()
	defer pass.end()
	source.Room = pass.take
	if l.source.Table != nil {
		source.ZTOC = l.table(ctx, &source)
	}
	l.archive, err = archive.Open(ctx, &source)
	return err
}

// BesideTable is how large a layer is at least whose first bytes are asked for beside
// the question for its table of contents, in bytes: a small one may be fetched whole for
// them.
const BesideTable = 8 << 20

// table is the layer's table of contents that lies beside it. Whether there is one
// takes some questions: the layer's first bytes are asked for beside them, since mostly
// there is none, and all of it is needed then.
func (l *layer) table(ctx context.Context, source *archive.Source) []byte {
	if source.Size < BesideTable {
		return l.source.Table(ctx, source)
	}
	beginning, enough := context.WithCancel(ctx)
	defer enough()
	ended := make(chan struct{})
	if l.images.options.Run(func() error {
		_, err := source.Blob.ReadAt(beginning, make([]byte, 1), 0)
		return err
	}, func(error) { close(ended) }) { // what comes of it shows when the pass reads them
		defer func() { enough(); <-ended }()
	}
	return l.source.Table(ctx, source)
}

// opened ends the opening.
func (l *layer) opened(err error) {
	s := l.images
	// What was read is what the digest says if that is so now, and it is the content
	// that it was.
	proven := l.blob != nil && l.blob.Verified() && l.blob.Generation() == l.generation
	if err != nil && s.options.Context.Err() != nil {
		err = context.Canceled // whatever the end of the mount made of it
	}
	if err == nil {
		s.room.keep(l)
	}
	l.err = err
	if err != nil {
		s.failures.note(l.key, err, proven)
	}
	s.mu.Lock()
	close(l.done)
	l.passed.Store(nil) // nobody looks at it any more
	l.end()
	if err != nil && s.layers[l.key] == l {
		delete(s.layers, l.key)
	}
	gone, unused := s.unused(l)
	s.mu.Unlock()
	if unused {
		l.close()
	}
	s.releaseAll(gone)
	s.progress()
}

// show takes what the pass has come by.
func (l *layer) show(passed *archive.Layer) {
	l.passed.Store(passed)
	l.images.progress()
}

// soFar is the layer if it is open, or what its pass has come by. nil is nothing.
func (l *layer) soFar() (known *archive.Layer, whole bool) {
	select {
	case <-l.done:
		return l.archive, l.err == nil
	default:
	}
	return l.passed.Load(), false
}

// wait waits until the layer is open.
func (l *layer) wait(ctx context.Context) (*archive.Layer, error) {
	select {
	case <-l.done:
		return l.archive, l.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// close closes what the layer reads from.
func (l *layer) close() {
	var err error
	if l.archive != nil {
		l.images.room.giveUp(l)
		err = l.archive.Close()
	}
	if l.blob != nil {
		err = errors.Join(err, l.blob.Close())
	}
	if err != nil {
		l.images.options.Log.Debug("close layer", "layer", l.key, "error", err)
	}
}
