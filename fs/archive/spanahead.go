package archive

import (
	"context"
	"sync"
)

// inSequence is how many spans in a row make it likely that those that follow are
// wanted too. A look at one file, which may lie in two spans, takes no more.
const inSequence = 3

// aheadSpans and aheadBytes bound what is inflated ahead of a reader: many spans
// where they are small, since a reader of small files is through with four of them
// before the next has begun; at least one, however large.
const (
	aheadSpans = 32
	aheadBytes = 8 << 20
)

// A spanAhead notices that spans are read in sequence, whoever reads them and
// whatever the files are called, and has those that follow inflated beside that.
type spanAhead struct {
	mu    sync.Mutex // guards what follows
	last  int        // the span that was read last
	run   int        // how many in a row that makes
	begun int        // the last span of this run that was begun ahead, or read
}

// passed is told that span i of l was read.
func (a *spanAhead) passed(l *Layer, i int) {
	begin := a.next(l.index, i)
	if len(begin) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, next := range begin {
		// It is only begun: what comes of it shows when it is asked for.
		_, _ = l.spanData(ctx, next, l.index.span(next))
	}
}

// next are the spans to be begun now that span i was read, in their order.
func (a *spanAhead) next(x *index, i int) []int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if i == a.last && a.run > 0 {
		return nil // nothing new
	}
	if i == a.last+1 {
		a.run++
	} else {
		a.run, a.begun = 1, i
	}
	a.last, a.begun = i, max(a.begun, i)
	if a.run < inSequence {
		return nil
	}
	var begin []int
	ahead := int64(0)
	for k := i + 1; k <= min(i+aheadSpans, x.spanCount()-1); k++ {
		s := x.span(k)
		if s.codec == codecZero {
			continue
		}
		if ahead += s.length; ahead > s.length && ahead > aheadBytes {
			break
		}
		if k > a.begun {
			begin, a.begun = append(begin, k), k
		}
	}
	return begin
}
