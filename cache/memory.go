package cache

import (
	"container/list"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/dgraph-io/ristretto/v2"
)

// memory holds chunks and documents, at most limit bytes of them.
//
// Half of it is a window of what arrived or was read last; what falls out of
// the window is offered to ristretto, which keeps what is read often. The
// window is there because ristretto may refuse a new key at any time: a chunk
// that was read ahead must still be there when its reader comes. What both are
// worth BenchmarkMemoryHitRate tells, beside a plain LRU of the same size: of what
// is read often 73 of 100 are here (72 there), 32 (26) while something large is read
// beside it, and 11 (none) of something larger than memory that is read again and
// again. With three quarters as the window it is 70, 28 and 5.
//
// Values are shared with readers and never change. A key is never reused for
// other bytes: a content that is dropped takes its id with it.
type memory struct {
	often *ristretto.Cache[string, []byte]

	// closing keeps close away from gets and sets: ristretto panics on a set
	// that runs while it closes.
	closing sync.RWMutex
	closed  bool // guarded by closing

	mu     sync.Mutex // guards what follows
	recent *list.List // of *remembered, the latest first
	index  map[string]*list.Element
	size   int64
	limit  int64
	lent   int64 // bytes that others use
	all    int64 // bytes that memory has when nothing is lent
}

type remembered struct {
	key  string
	data []byte
}

// itemCost is what one item costs beyond its bytes: keys, list and map.
const itemCost = 256

func newMemory(limit int64) (*memory, error) {
	window := limit / 2
	often, err := ristretto.NewCache(&ristretto.Config[string, []byte]{
		// Ten counters for each of the items expected, if they had 16 KiB on average.
		NumCounters: max(1024, 10*(limit-window)/(16<<10)),
		MaxCost:     max(1, limit-window),
		BufferItems: 64,
	})
	if err != nil {
		return nil, fmt.Errorf("memory cache: %w", err)
	}
	return &memory{
		often:  often,
		recent: list.New(),
		index:  make(map[string]*list.Element),
		limit:  window,
		all:    limit,
	}, nil
}

// lend makes memory smaller by n bytes, or by fewer once it is an eighth of what it
// was; a negative n gives them back.
func (m *memory) lend(n int64) {
	m.closing.RLock()
	defer m.closing.RUnlock()
	if m.closed {
		return
	}
	m.mu.Lock()
	m.lent += n
	limit := max(m.all/8, m.all-m.lent)
	m.limit = limit / 2
	out := m.trim()
	m.often.UpdateMaxCost(max(1, limit-m.limit))
	m.mu.Unlock()
	m.offer(out)
}

// trim takes out of the window what it has no room for.
//
// m.mu is held.
func (m *memory) trim() (out []*remembered) {
	for m.size > m.limit {
		e := m.recent.Back()
		old := m.recent.Remove(e).(*remembered)
		delete(m.index, old.key)
		m.size -= int64(len(old.data)) + itemCost
		out = append(out, old)
	}
	return out
}

// offer gives ristretto what fell out of the window.
func (m *memory) offer(out []*remembered) {
	for _, old := range out {
		m.often.Set(old.key, old.data, int64(len(old.data))+itemCost)
	}
}

// chunkKey has another length than any other key, so they never meet.
func chunkKey(id uint64, i int) string {
	var k [12]byte
	binary.BigEndian.PutUint64(k[:], id)
	binary.BigEndian.PutUint32(k[8:], uint32(i)) //nolint:gosec // an index has 30 bits, see maxBlob
	return string(k[:])
}

func (m *memory) get(key string) ([]byte, bool) {
	m.closing.RLock()
	defer m.closing.RUnlock()
	if m.closed {
		return nil, false
	}
	m.mu.Lock()
	if e := m.index[key]; e != nil {
		m.recent.MoveToFront(e)
		data := e.Value.(*remembered).data
		m.mu.Unlock()
		return data, true
	}
	m.mu.Unlock()
	return m.often.Get(key)
}

func (m *memory) set(key string, data []byte) {
	m.closing.RLock()
	defer m.closing.RUnlock()
	if m.closed {
		return
	}
	cost := int64(len(data)) + itemCost
	m.mu.Lock()
	if m.index[key] != nil {
		m.mu.Unlock()
		return
	}
	var out []*remembered
	if cost <= m.limit {
		m.index[key] = m.recent.PushFront(&remembered{key, data})
		m.size += cost
		out = m.trim()
	} else {
		out = append(out, &remembered{key, data})
	}
	m.mu.Unlock()
	m.offer(out)
}

// has tells whether a key is here, and leaves it as it was.
func (m *memory) has(key string) bool {
	m.closing.RLock()
	defer m.closing.RUnlock()
	if m.closed {
		return false
	}
	m.mu.Lock()
	recent := m.index[key] != nil
	m.mu.Unlock()
	if recent {
		return true
	}
	_, ok := m.often.GetTTL(key) // which doesn't count as a use
	return ok
}

// held is how many bytes are here now.
func (m *memory) held() int64 {
	m.closing.RLock()
	defer m.closing.RUnlock()
	if m.closed {
		return 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.size + m.often.MaxCost() - m.often.RemainingCost()
}

func (m *memory) close() {
	m.closing.Lock()
	defer m.closing.Unlock()
	if !m.closed {
		m.closed = true
		m.often.Close()
	}
}
