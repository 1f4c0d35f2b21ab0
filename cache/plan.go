package cache

import (
	"math"
	"sync"
	"time"
)

// The window of a reader is how many bytes are asked for beyond what it has come
// to. Several requests bring them in parallel, since one connection rarely is as
// fast as the link.
const (
	// minRequest and maxRequest bound one request, in bytes: big enough that the
	// latency of a registry hardly counts, small enough that several run at once.
	minRequest = 1 << 20
	maxRequest = 16 << 20
	// firstWindow, for each connection, is what a sequence begins with, and
	// maxWindow what it grows to, as long as the reader has to wait.
	firstWindow = 2 << 20
	maxWindow   = 2 * maxRequest
	// slack is how far, in bytes, a read may be from where its sequence has come
	// to: a reader may skip a little, and a kernel sends its reads out of order.
	slack = 2 << 20
	// maxSequences is how many sequences one open file is read in at once: those
	// of several threads, or of a file that is mapped.
	maxSequences = 4
	// inSequence is how many reads in a row make it likely that there is another:
	// of a file, of one who reads parts that may be large, and of one who says that
	// it reads all. One who says what it wants, to the byte, has no window, and one who
	// wants all of it here has none of these: see fill.go.
	inSequence      = 2
	partsInSequence = 3
	wholeInSequence = 1
	neverInSequence = math.MaxInt
)

// A plan is what is fetched for one open file before it is asked for. Failures
// are silent: the reader meets them when it comes there.
type plan struct {
	table      *table
	fetcher    Fetcher
	inSequence int

	mu     sync.Mutex // guards what follows
	closed bool
	clock  int
	last   *sequence // the one of the last read
	usual  int64     // how long the last sequence was that ended, in bytes; 0 is unknown
	all    [maxSequences]sequence
}

// A sequence is a part of a blob that is read from one end to the other.
type sequence struct {
	begin, end int64 // what has been read
	back       bool  // towards the beginning
	window     int64
	edge       int64 // as far as has been asked for
	used       int   // when, by plan.clock
	reads      int
}

func (s *sequence) length() int64 { return s.end - s.begin }

// read is told of a read of n bytes at off, and whether the reader has to wait
// for it.
func (p *plan) read(off, n int64, waits bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || n == 0 {
		return
	}
	s := p.follow(off, n)
	// A look is no sequence yet, and neither is a second one beside it.
	if s.length() <= ChunkSize || s.reads < p.inSequence {
		return
	}
	p.grow(s, waits)
	if s.back {
		p.fetchBefore(s)
	} else {
		p.fetchAfter(s)
	}
}

// follow is the sequence that a read belongs to, with the read in it.
func (p *plan) follow(off, n int64) *sequence {
	p.clock++
	var oldest *sequence
	for i := range p.all {
		s := &p.all[i]
		if oldest == nil || s.used < oldest.used {
			oldest = s
		}
		if s.used == 0 || off+n < s.begin-slack || off > s.end+slack {
			continue
		}
		// One that is in the middle of what was read before says nothing.
		switch {
		case off+n > s.end:
			s.back = false
		case off < s.begin:
			s.back = true
		}
		s.begin, s.end, s.used = min(s.begin, off), max(s.end, off+n), p.clock
		s.reads++
		p.last = s
		return s
	}
	if p.last != nil && p.last.length() > 0 {
		p.usual = p.last.length()
	}
	*oldest = sequence{begin: off, end: off + n, used: p.clock, reads: 1}
	p.last = oldest
	return oldest
}

// grow makes the window of a sequence larger when its reader waits, as far as
// its share goes.
func (p *plan) grow(s *sequence, waits bool) {
	c := p.table.cache
	connections := int64(c.options.Concurrency)
	switch {
	case s.length() < p.usual: // it will end where the others did, or be found out to go on
		s.window = p.usual - s.length()
	case s.window == 0 && p.usual == 0:
		s.window = firstWindow * connections
	case s.window == 0:
		s.window = minRequest
	case waits:
		s.window = max(2*s.window, minRequest)
	}
	// What was read bounds what may be fetched in vain.
	known := max(2*s.length(), firstWindow*connections)
	s.window = min(s.window, known, maxWindow*connections, c.ahead.share(p)/p.sequences())
}

// sequences is in how many the file is read at the moment.
func (p *plan) sequences() (n int64) {
	const recent = 8 * maxSequences // reads
	for i := range p.all {
		if s := &p.all[i]; s.window > 0 && p.clock-s.used < recent {
			n++
		}
	}
	return max(n, 1)
}

// request is how many chunks one request of a sequence asks for, of which so many
// bytes are left: at the end all connections shall end together.
func (p *plan) request(s *sequence, left int64) int {
	connections := int64(p.table.cache.options.Concurrency)
	size := min(max(s.window/(2*connections), 2*minRequest), maxRequest)
	// One of the connections may be busy with what the reader waits for.
	size = min(size, max(left/max(connections-1, 1)+ChunkSize, minRequest), max(s.window/2, ChunkSize))
	return int(size / ChunkSize)
}

func (p *plan) fetchAfter(s *sequence) {
	g := p.table.grid
	s.edge = max(s.edge, g.offset(g.index(s.end-1)+1))
	target := min(s.end+s.window, g.size)
	request := p.request(s, g.size-s.edge)
	if target < g.size { // a request should be worth its latency
		target -= (target - s.edge) % (int64(request) * ChunkSize)
	}
	if target <= s.edge {
		return
	}
	s.edge = g.offset(p.table.ahead(p.fetcher, g.index(s.edge), g.index(target-1), request))
}

func (p *plan) fetchBefore(s *sequence) {
	g := p.table.grid
	first := g.offset(g.index(s.begin))
	if s.edge == 0 || s.edge > first {
		s.edge = first
	}
	target := max(s.begin-s.window, 0)
	if target >= s.edge || target > 0 && s.edge-target < minRequest {
		return
	}
	low := g.index(target)
	// The part that is next to the reader is asked for first.
	for high := g.index(s.edge - 1); high >= low; high -= minRequest / ChunkSize {
		p.table.ahead(p.fetcher, max(low, high-minRequest/ChunkSize+1), high, minRequest/ChunkSize)
	}
	s.edge = g.offset(low)
}

func (p *plan) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.table.cache.ahead.leave(p)
}

// A budget is what all windows may have together. It is shared by those who read
// now, in equal parts: one that rests gives its part back, and one that comes
// late gets its own.
type budget struct {
	total int64 // bytes

	mu    sync.Mutex // guards who
	who   map[*plan]time.Time
	swept time.Time
}

// restsAfter is the time without a read after which a reader rests.
const restsAfter = time.Second

// share is the part of p, which reads now.
func (b *budget) share(p *plan) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.who[p] = now
	if now.Sub(b.swept) > restsAfter/4 {
		b.swept = now
		for other, at := range b.who {
			if now.Sub(at) > restsAfter {
				delete(b.who, other)
			}
		}
	}
	return max(b.total/int64(len(b.who)), 2*ChunkSize)
}

func (b *budget) leave(p *plan) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.who, p)
}
