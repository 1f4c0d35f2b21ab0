package cache

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// This file is a model test of trust: two caches on one directory, registries
// that lie, programs that read in any order, kernels that keep pages, disks that
// lose things. Nobody ever has all of a wrong blob.
//
// A round is told by its seed. ORASFS_ROUNDS is how many there are, and
// ORASFS_SEED the one to be played again.

const modelSize = SmallBlob + 12345

// modelRounds is how many rounds a normal run has.
const modelRounds = 40

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

func (w *world) tell(format string, args ...any) {
	w.story = append(w.story, fmt.Sprintf(format, args...))
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
	// What thousands of rounds leave would fill a memory.
	if err := os.RemoveAll(w.dir); err != nil {
		w.t.Error(err)
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

// together has several programs read at once.
func (w *world) together() {
	var todo []func()
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
			todo = append(todo, func() { w.readChunks(h, chunks, false, false) })
		}
	}
	var all sync.WaitGroup
	for _, read := range todo {
		all.Go(read)
	}
	all.Wait()
	for _, d := range w.daemons {
		for _, h := range d.handles {
			w.check(h)
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
