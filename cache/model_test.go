package cache

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// This file is a model test of trust: two caches on one directory, registries
// that lie, programs that read in any order, kernels that keep pages, disks that
// lose things. Nobody ever has all of a wrong blob.
//
// A round is told by its seed. ORASFS_ROUNDS is how many there are, and
// ORASFS_SEED the one to be played again.

const modelSize = SmallBlob + 12345

// modelRounds is how many rounds a normal run has.
const modelRounds = 120

var modelBlob = sync.OnceValue(func() *source { return newSource(random(modelSize, 90)) })

func TestModelOfTrust(t *testing.T) {
	rounds, first := modelRounds, uint64(1)
	if testing.Short() {
		rounds /= 10
	}
	if n, err := strconv.Atoi(os.Getenv("ORASFS_ROUNDS")); err == nil {
		rounds, first = n, rand.Uint64N(1<<40)
	}
	if seed, err := strconv.ParseUint(os.Getenv("ORASFS_SEED"), 10, 64); err == nil {
		rounds, first = 1, seed
	}
	var sums summary
	for seed := first; seed < first+uint64(rounds); seed++ {
		w := newWorld(t, seed)
		w.play()
		if t.Failed() {
			t.Fatalf("again: ORASFS_SEED=%d go test -run TestModelOfTrust ./cache\n%s", seed, strings.Join(w.story, "\n"))
		}
		sums.add(w)
	}
	t.Logf("%d rounds: %+v", rounds, sums)
	if rounds < modelRounds {
		return
	}
	// The rounds mean nothing if what they look for doesn't come up.
	if sums.Errors == 0 || sums.Whole == 0 || sums.Stale == 0 || sums.Kept == 0 || sums.Passed == 0 || sums.Spent == 0 || sums.Damages == 0 {
		t.Error("something never came up")
	}
}

// A summary is what came up in some rounds.
type summary struct {
	Reads, Errors, Whole, Refused, Kept, Stale, Spent, Passed, Damages int
}

func (s *summary) add(w *world) {
	a := w.sums
	s.Reads += a.Reads
	s.Errors += a.Errors
	s.Whole += a.Whole
	s.Refused += a.Refused
	s.Kept += a.Kept
	s.Stale += a.Stale
	s.Spent += a.Spent
	s.Passed += a.Passed
	s.Damages += a.Damages
}

// A world is one round.
type world struct {
	t       *testing.T
	rng     *rand.Rand
	blob    *source // as it should be
	dir     string
	options Options
	origins []*liar
	honest  bool // all of them are
	damaged bool // something on disk was
	daemons []*daemon
	story   []string

	mu   sync.Mutex // guards what follows, and what inodes and handles have got
	sums summary
}

// A liar is a registry that sends wrong bytes at times.
type liar struct {
	key    Key
	source *source
	mu     sync.Mutex // guards what follows
	rng    *rand.Rand
	lies   bool
	asked  map[int]int // times, by chunk
}

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

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 7)), blob: modelBlob()}
	w.dir = modelDir(t)
	pick := func(sizes ...int64) int64 { return sizes[w.rng.IntN(len(sizes))] }
	w.options = Options{Memory: pick(600<<10, 1<<20, 3<<20, 64<<20), Size: pick(1<<20, 3<<20, 9<<20, 0, 0), Concurrency: int(pick(1, 2, 8))}
	if w.rng.IntN(8) > 0 {
		w.options.Dir = w.dir
	}
	if w.rng.IntN(12) == 0 {
		w.options.Verify = VerifyFull
	}
	w.honest = true
	for i := range 2 {
		w.origins = append(w.origins, w.newLiar(i, w.rng.IntN(3)))
	}
	w.tell("size %d, memory %d, directory %v, verify %v", w.options.Size, w.options.Memory, w.options.Dir != "", w.options.Verify)
	for i := range 2 {
		d := &daemon{name: i}
		w.daemons = append(w.daemons, d)
		w.start(d)
	}
	return w
}

// modelDir is a directory that is fast to write to, where there is one.
func modelDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "model-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (w *world) tell(format string, args ...any) {
	w.story = append(w.story, fmt.Sprintf(format, args...))
}

// newLiar is a registry; of kind 0 it is none.
func (w *world) newLiar(i, kind int) *liar {
	l := &liar{key: w.blob.key(), source: newSource(w.blob.content), lies: kind > 0, asked: make(map[int]int)}
	l.key.Origin = fmt.Sprintf("registry%d.example", i)
	l.rng = rand.New(rand.NewPCG(w.rng.Uint64(), 3))
	l.source.ignores = w.rng.IntN(4) == 0
	fails := w.rng.IntN(3) == 0
	victim, mask := w.rng.IntN(len(modelSums())), byte(1+w.rng.IntN(255))
	kinds := []struct {
		name string
		lie  func(chunk, times int) byte
	}{
		{"always", func(chunk, _ int) byte { return mask * b2i(chunk == victim) }},
		{"first", func(chunk, times int) byte { return mask * b2i(chunk == victim && times == 0) }},
		{"later", func(chunk, times int) byte { return mask * b2i(chunk == victim && times > 0) }},
		{"differently", func(chunk, _ int) byte { return byte(l.rng.IntN(256)) * b2i(chunk == victim) }},
		{"at random", func(int, int) byte { return mask * b2i(l.rng.IntN(12) == 0) }},
		{"once", func(_, times int) byte { return mask * b2i(times == 0) }},
	}
	how := kinds[w.rng.IntN(len(kinds))]
	l.source.fault = func(int, int64, int64) (fault, error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		var f fault
		if fails {
			switch l.rng.IntN(12) {
			case 0:
				return f, errors.New("refused")
			case 1:
				f.cut = 1 + l.rng.Int64N(2<<20)
			}
		}
		f.lie = func(chunk int) byte {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.asked[chunk]++
			if !l.lies {
				return 0
			}
			return how.lie(chunk, l.asked[chunk]-1)
		}
		return f, nil
	}
	name := "honest"
	if l.lies {
		w.honest = false
		name = fmt.Sprintf("lies %s at %d", how.name, victim)
	}
	w.tell("origin %d: %s, no ranges %v, fails %v", i, name, l.source.ignores, fails)
	return l
}

func b2i(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func (w *world) start(d *daemon) {
	c, err := Open(w.options)
	if err != nil {
		w.t.Fatal(err)
	}
	d.cache, d.handles, d.given = c, nil, make(map[uint64]*had)
	d.inodes = make([]*inode, len(w.origins))
	c.wrong.now = func() time.Time { return time.Now().Add(d.later) }
}

func (w *world) stop(d *daemon) {
	for len(d.handles) > 0 {
		w.close(d, 0)
	}
	if err := d.cache.Close(); err != nil {
		w.t.Error(err)
	}
}

// play is the round.
func (w *world) play() {
	w.steps(20 + w.rng.IntN(60))
	w.mend()
	for _, d := range w.daemons {
		w.counters(d)
		w.stop(d)
	}
}

func (w *world) steps(n int) {
	for range n {
		d := w.daemons[w.rng.IntN(len(w.daemons))]
		switch dice := w.rng.IntN(100); {
		case dice < 15 || len(d.handles) == 0:
			w.open(d, w.rng.IntN(len(w.origins)))
		case dice < 55:
			w.read(w.handle(d))
		case dice < 65:
			w.together()
		case dice < 75:
			w.close(d, w.rng.IntN(len(d.handles)))
		case dice < 80:
			in := w.handle(d).inode
			w.tell("daemon %d: the kernel drops pages", d.name)
			for range 1 + w.rng.IntN(20) {
				delete(in.pages, w.rng.IntN(len(modelSums())))
			}
		case dice < 84:
			w.tell("daemon %d: its clock goes on", d.name)
			d.later += time.Duration(w.rng.Int64N(int64(pardonAfter)))
		case dice < 87:
			w.tell("daemon %d restarts", d.name)
			w.stop(d)
			w.start(d)
		case dice < 91:
			w.remove()
		case dice < 95:
			w.damage()
		case dice < 98:
			w.badDisk(d)
		default:
			w.tell("all settles")
			for _, d := range w.daemons {
				w.settle(d)
			}
		}
		if w.t.Failed() {
			return
		}
	}
}

// settle waits until nothing is on its way, except for streams that rest.
func (w *world) settle(d *daemon) {
	for range 50 {
		if d.cache.quiet() {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

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

// read has a program read some of its file.
func (w *world) read(h *handle) {
	n := len(modelSums())
	chunks := w.rng.Perm(n)
	switch w.rng.IntN(5) {
	case 0:
		chunks = chunks[:1]
	case 1:
		chunks = chunks[:n/2]
	case 2: // in order
		first := w.rng.IntN(n)
		chunks = chunks[:0]
		for i := first; i < n; i++ {
			chunks = append(chunks, i)
		}
	case 3: // backwards
		chunks = chunks[:0]
		for i := n - 1; i >= 0; i-- {
			chunks = append(chunks, i)
		}
	}
	parts := w.rng.IntN(3) == 0
	aside := w.rng.IntN(4) == 0
	w.tell("daemon %d reads %d: %v, in parts %v, ahead %v", h.daemon.name, h.origin, chunks, parts, aside)
	w.readChunks(h, chunks, parts, aside)
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

// page is the checksum of a chunk, from the kernel's pages if it has them.
func (w *world) page(h *handle, i int, parts bool) (uint32, error) {
	g := grid{modelSize}
	p := make([]byte, g.length(i))
	if h.file != nil {
		_, err := h.file.ReadAt(p, g.offset(i))
		return checksum(p), err
	}
	w.mu.Lock()
	sum, ok := h.inode.pages[i]
	w.mu.Unlock()
	if ok {
		return sum, nil
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
	sum = checksum(p)
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

// together has several programs read at once.
func (w *world) together() {
	var all sync.WaitGroup
	for _, d := range w.daemons {
		for _, h := range d.handles {
			if w.rng.IntN(2) == 0 {
				continue
			}
			chunks := w.rng.Perm(len(modelSums()))[:1+w.rng.IntN(len(modelSums()))]
			if w.rng.IntN(2) == 0 {
				for k := range chunks {
					chunks[k] = k
				}
			}
			w.tell("daemon %d reads %d: %v, with others", d.name, h.origin, chunks)
			all.Go(func() { w.readChunks(h, chunks, false, false) })
		}
	}
	all.Wait()
	for _, d := range w.daemons {
		for _, h := range d.handles {
			w.check(h)
		}
	}
}

// entries are what lies in the cache directory as one, somewhere.
func (w *world) entries() []string {
	complete, _ := filepath.Glob(filepath.Join(w.dir, formatVersion, "blobs/*/*"))
	partial, _ := filepath.Glob(filepath.Join(w.dir, formatVersion, "partial/*"))
	return append(complete, partial...)
}

// remove removes something from the cache directory, open or not.
func (w *world) remove() {
	if all := w.entries(); len(all) > 0 {
		path := all[w.rng.IntN(len(all))]
		w.tell("somebody removes %s", path)
		if err := os.RemoveAll(path); err != nil {
			w.tell("%v", err)
		}
	}
}

// damage flips a byte on disk.
func (w *world) damage() {
	all := w.entries()
	for _, d := range w.daemons {
		for _, h := range d.handles {
			if h.file != nil {
				return // what the kernel reads itself nobody checks
			}
		}
	}
	if len(all) == 0 {
		return
	}
	path := filepath.Join(all[w.rng.IntN(len(all))], []string{dataName, dataName, sumsName}[w.rng.IntN(3)])
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer f.Close() //nolint:errcheck // it is damaged
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return
	}
	w.damaged = true
	w.sums.Damages++
	var b [1]byte
	at := w.rng.Int64N(info.Size())
	_, _ = f.ReadAt(b[:], at)
	b[0] ^= 0x40
	_, _ = f.WriteAt(b[:], at)
	w.tell("byte %d of %s is damaged", at, path)
}

// badDisk has a program read while the disk fails.
func (w *world) badDisk(d *daemon) {
	h := w.handle(d)
	t := h.blob.table
	w.settle(d)
	t.mu.Lock()
	s := t.store
	t.mu.Unlock()
	if s == nil || h.file != nil {
		return
	}
	w.tell("daemon %d has a bad disk", d.name)
	mend := breakFile(w.t, s.data)
	w.read(h)
	w.settle(d)
	mend()
	d.cache.disk.paused.Store(0)
	w.tell("daemon %d has a good disk", d.name)
}

// breakFile makes every read and write of an open file fail until the returned
// function is called.
func breakFile(t testing.TB, f *os.File) (mend func()) {
	t.Helper()
	fd := int(f.Fd())
	good, err := unix.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	bad, err := unix.Open(f.Name(), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		bad, err = unix.Open(os.DevNull, unix.O_PATH|unix.O_CLOEXEC, 0)
	}
	if err == nil {
		err = unix.Dup3(bad, fd, unix.O_CLOEXEC)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := errors.Join(unix.Dup3(good, fd, unix.O_CLOEXEC), unix.Close(good), unix.Close(bad)); err != nil {
			t.Fatal(err)
		}
	}
}

// mend ends all lies and lets time pass: then whoever asks gets the content.
func (w *world) mend() {
	w.tell("nobody lies any more")
	for _, o := range w.origins {
		o.mu.Lock()
		o.lies = false
		o.mu.Unlock()
		o.source.mu.Lock()
		o.source.fault = nil
		o.source.mu.Unlock()
	}
	for _, d := range w.daemons {
		for len(d.handles) > 0 {
			w.close(d, 0)
		}
	}
	// What is on disk of a lie, or of a damage, may cost an error each.
	const tries = 4
	for _, d := range w.daemons {
		for origin := range w.origins {
			right := false
			for try := 0; try < tries && !right && !w.t.Failed(); try++ {
				d.later += pardonAfter + time.Second
				right = w.readAll(d, origin)
			}
			if !right {
				w.t.Errorf("nobody lies, and daemon %d gets nothing from %d", d.name, origin)
			}
		}
	}
}

// readAll reads all through a file of its own.
func (w *world) readAll(d *daemon, origin int) bool {
	h := w.open(d, origin)
	if h == nil {
		return false
	}
	chunks := make([]int, len(modelSums()))
	for i := range chunks {
		chunks[i] = i
	}
	w.readChunks(h, chunks, false, false)
	w.check(h)
	w.close(d, len(d.handles)-1)
	return h.got.whole()
}

func (w *world) counters(d *daemon) {
	settled(d.cache)
	s := d.cache.Stats()
	if w.honest && s.WrongDigests > 0 {
		w.t.Errorf("nobody lied, and %d contents are counted as wrong", s.WrongDigests)
	}
	if w.honest && !w.damaged && s.WrongOnDisk > 0 {
		w.t.Errorf("nothing was damaged, and %d damages are counted", s.WrongOnDisk)
	}
	if s.FetchedBytes < 0 || s.DiskHits < 0 || s.MemoryHits < 0 {
		w.t.Errorf("%+v", s)
	}
}
