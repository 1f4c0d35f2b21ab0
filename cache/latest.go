package cache

import (
	"slices"
	"sync"
)

// Of the latest that was made to be kept, some spans of a layer, an eighth of
// Options.Memory is held, within these bounds, in bytes. One alone may be larger. The
// rest of Memory is for all else.
const (
	minLatest = 8 << 20
	maxLatest = 16 << 20
)

// latest are the values that were made last. A span of a layer is read in many small
// parts: where memory is so small that it takes none, or drops it for what is
// fetched beside it, each part would have all of the span unpacked again.
type latest struct {
	most int // bytes

	mu    sync.Mutex // guards what follows
	list  []remembered
	bytes int
}

// get is the value of a key if it is one of the latest.
func (l *latest) get(key string) ([]byte, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.list, func(r remembered) bool { return r.key == key })
	if i < 0 {
		return nil, false
	}
	found := l.list[i]
	l.list = append(slices.Delete(l.list, i, i+1), found)
	return found.data, true
}

// held is how many bytes are here now.
func (l *latest) held() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(l.bytes)
}

// put takes a value, and gives up those that weren't read for longest.
func (l *latest) put(key string, data []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list, l.bytes = append(l.list, remembered{key, data}), l.bytes+len(data)
	for l.bytes > l.most && len(l.list) > 1 {
		l.bytes -= len(l.list[0].data)
		l.list = slices.Delete(l.list, 0, 1)
	}
}
