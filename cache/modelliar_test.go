package cache

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
)

// A liar is a registry that sends wrong bytes at times.
type liar struct {
	key    Key
	source *source
	mu     sync.Mutex // guards what follows
	rng    *rand.Rand
	lies   bool
	asked  map[int]int // times, by chunk
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
