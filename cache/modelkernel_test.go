package cache

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"time"
)

// A daemon is a cache, with a kernel in front of it.
type daemon struct {
	name    int
	cache   *Cache
	later   time.Duration // how far its clock has been moved
	inodes  []*inode      // by origin: those that the names lead to
	handles []*handle
	given   map[uint64]*had // what was given of each content
}

// An inode has pages, by the rule of fs/pages.go.
type inode struct {
	generation uint64
	verified   bool
	handles    int
	passed     bool
	pages      had
}

// A handle is an open file, and a program that reads it.
type handle struct {
	daemon *daemon
	origin int
	inode  *inode
	blob   *Blob
	reader *Reader
	file   *os.File // read by the kernel itself
	got    had
}

// had is what somebody has of a blob: the checksum of each chunk.
type had map[int]uint32

var modelSums = sync.OnceValue(func() []uint32 {
	g := grid{modelSize}
	sums := make([]uint32, g.chunks())
	for i := range sums {
		sums[i] = checksum(modelBlob().content[g.offset(i):g.offset(i+1)])
	}
	return sums
})

func (h had) wrong() (chunk int, ok bool) {
	for i, sum := range h {
		if sum != modelSums()[i] {
			return i, true
		}
	}
	return 0, false
}

// whole tells whether somebody has all.
func (h had) whole() bool { return len(h) == len(modelSums()) }

func (w *world) handle(d *daemon) *handle { return d.handles[w.rng.IntN(len(d.handles))] }

// open opens a file, as fs/pages.go has it done.
func (w *world) open(d *daemon, origin int) *handle {
	o := w.origins[origin]
	for {
		blob, err := d.cache.Blob(o.key, o.source)
		if err != nil {
			w.refused(d, origin, err)
			return nil
		}
		if err := blob.Look(w.t.Context()); err != nil {
			w.t.Errorf("look: %v", err)
		}
		h := &handle{daemon: d, origin: origin, blob: blob, reader: blob.Reader(), got: had{}}
		in := d.inodes[origin]
		if in == nil {
			in = &inode{pages: had{}}
			d.inodes[origin] = in
		}
		generation, verified := blob.Generation(), blob.Verified()
		same := in.generation == 0 || in.generation == generation || in.verified && verified
		if in.handles == 0 {
			in.passed = false
		}
		if same || in.handles == 0 {
			if !w.damaged && (in.handles == 0 || in.passed) && w.rng.IntN(2) == 0 {
				h.file = blob.File()
			}
		}
		if !same && in.handles > 0 || h.file == nil && in.passed {
			w.tell("daemon %d: the inode of %d is spent", d.name, origin)
			w.sums.Spent++
			d.inodes[origin] = nil
			_ = errors.Join(h.reader.Close(), blob.Close())
			continue
		}
		in.generation, in.verified, in.passed = generation, verified, h.file != nil
		in.handles++
		h.inode = in
		switch {
		case !same:
			w.sums.Stale++
			clear(in.pages)
		case len(in.pages) > 0:
			w.sums.Kept++
		}
		if h.file != nil {
			w.sums.Passed++
		}
		w.tell("daemon %d opens %d: generation %d, verified %v, same %v, passed %v", d.name, origin, generation, verified, same, h.file != nil)
		d.handles = append(d.handles, h)
		return h
	}
}

func (w *world) refused(d *daemon, origin int, err error) {
	w.sums.Refused++
	w.tell("daemon %d opens %d: %v", d.name, origin, err)
	if w.honest || !errors.Is(err, ErrDigest) {
		w.t.Errorf("it is refused: %v", err)
	}
}

func (w *world) close(d *daemon, i int) {
	h := d.handles[i]
	d.handles = append(d.handles[:i], d.handles[i+1:]...)
	w.tell("daemon %d closes %d", d.name, h.origin)
	h.inode.handles--
	if h.inode.generation == h.blob.Generation() && h.blob.Verified() {
		h.inode.verified = true
	}
	if err := errors.Join(h.reader.Close(), h.blob.Close()); err != nil {
		w.t.Error(err)
	}
	w.check(h)
}

// readChunks reads chunks through the kernel. With aside the kernel reads the next
// one ahead, which the program doesn't see.
func (w *world) readChunks(h *handle, chunks []int, parts, aside bool) {
	for _, i := range chunks {
		sum, err := w.page(h, i, parts)
		w.mu.Lock()
		w.sums.Reads++
		if err != nil {
			w.sums.Errors++
			w.failed(h, i, err)
		} else {
			w.have(&h.got, i, sum, "a program")
		}
		w.mu.Unlock()
		if next := i + 1; err == nil && aside && h.file == nil && next < len(modelSums()) {
			_, _ = w.page(h, next, parts)
		}
	}
}

// modelChunks are what programs read into: new memory is dear under the race detector.
var modelChunks = sync.Pool{New: func() any { return new([ChunkSize]byte) }}

// page is the checksum of a chunk, from the kernel's pages if it has them.
func (w *world) page(h *handle, i int, parts bool) (uint32, error) {
	if h.file == nil {
		w.mu.Lock()
		sum, ok := h.inode.pages[i]
		w.mu.Unlock()
		if ok {
			return sum, nil
		}
	}
	g := grid{modelSize}
	room := modelChunks.Get().(*[ChunkSize]byte)
	defer modelChunks.Put(room)
	p := room[:g.length(i)]
	clear(p) // what isn't read must not seem to be
	if h.file != nil {
		_, err := h.file.ReadAt(p, g.offset(i))
		return checksum(p), err
	}
	waits := time.AfterFunc(20*time.Second, func() {
		stacks := make([]byte, 1<<20)
		w.t.Errorf("a read waits:\n%s", stacks[:runtime.Stack(stacks, true)])
	})
	defer waits.Stop()
	step := len(p)
	if parts {
		step = 100_000
	}
	for at := 0; at < len(p); at += step {
		end := min(at+step, len(p))
		if _, err := h.reader.ReadAt(w.t.Context(), p[at:end], g.offset(i)+int64(at)); err != nil {
			return 0, err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	given := h.daemon.given[h.blob.Generation()]
	if given == nil {
		given = &had{}
		h.daemon.given[h.blob.Generation()] = given
	}
	sum := checksum(p)
	w.have(given, i, sum, "a generation")
	if there, ok := h.inode.pages[i]; ok { // another handle was sooner
		return there, nil
	}
	w.have(&h.inode.pages, i, sum, "an inode")
	return sum, nil
}

// have notes that somebody has a chunk. w.mu is held.
func (w *world) have(h *had, i int, sum uint32, who string) {
	if before, ok := (*h)[i]; ok && before != sum {
		w.t.Errorf("%s has two chunks %d: %08x and %08x, and %08x is right", who, i, before, sum, modelSums()[i])
	}
	(*h)[i] = sum
	if !h.whole() {
		return
	}
	w.sums.Whole++
	if i, wrong := h.wrong(); wrong {
		w.t.Errorf("%s has all of the blob, and chunk %d is wrong", who, i)
	}
}

// failed is told of an error of a read. w.mu is held.
func (w *world) failed(h *handle, i int, err error) {
	w.tell("daemon %d reads chunk %d of %d: %v", h.daemon.name, i, h.origin, err)
	if w.honest && errors.Is(err, ErrDigest) {
		w.t.Errorf("nobody lies, and a read says %v", err)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errAgain) || errors.Is(err, os.ErrClosed) {
		w.t.Errorf("a read says %v", err)
	}
}

// check looks whether what is said to be verified is right.
func (w *world) check(h *handle) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if h.blob.Verified() {
		if given := h.daemon.given[h.blob.Generation()]; given != nil {
			if i, wrong := given.wrong(); wrong {
				w.t.Errorf("generation %d is verified, and its chunk %d was wrong", h.blob.Generation(), i)
			}
		}
	}
	if h.inode.verified {
		if i, wrong := h.inode.pages.wrong(); wrong {
			w.t.Errorf("an inode is verified, and its chunk %d is wrong", i)
		}
	}
}
