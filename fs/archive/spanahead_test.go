package archive

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// begunStore remembers what is begun without being waited for.
type begunStore struct {
	*memoryStore
	begun []string
}

func (b *begunStore) Keep(ctx context.Context, key string, cost int64, fill func(context.Context) ([]byte, error)) ([]byte, error) {
	if ctx.Err() != nil {
		b.begun = append(b.begun, key[strings.LastIndex(key, "/")+1:])
	}
	return b.memoryStore.Keep(ctx, key, cost, fill)
}

// Whoever reads on has the next spans inflated beside it, in their order and each
// once; whoever looks at a file here and there, or at one that lies in two spans,
// hasn't.
func TestSpansAhead(t *testing.T) {
	const size = 32 << 20
	s := source(members(t, pack(t, file{name: "a", content: string(mixed(size, 9))}), 1, 1))
	openLayer(t, s)
	spans := openLayer(t, s).index.spans.len()
	for name, c := range map[string]struct {
		offsets []int // in spans
		begun   string
	}{
		"in sequence":         {[]int{0, 1, 2, 3, 4}, "[3 4 5 6 7]"},
		"in small steps":      {[]int{0, 0, 1, 1, 2, 2, 2, 3}, "[3 4 5 6]"},
		"two spans":           {[]int{3, 4}, "[]"},
		"here and there":      {[]int{5, 1, 3, 0, 2, 6}, "[]"},
		"backwards":           {[]int{6, 5, 4, 3, 2}, "[]"},
		"up to the end":       {[]int{spans - 3, spans - 2, spans - 1}, "[]"},
		"nearly":              {[]int{spans - 4, spans - 3, spans - 2, spans - 1}, fmt.Sprint([]int{spans - 1})},
		"from the middle":     {[]int{4, 5, 6}, "[7 8 9]"},
		"twice, and far away": {[]int{0, 1, 2, 8, 9, 10}, "[3 4 5 11 12 13]"},
	} {
		store := &begunStore{memoryStore: s.Store.(*memoryStore)}
		fresh := *s
		fresh.Store = store
		l := openLayer(t, &fresh)
		for _, i := range c.offsets {
			if err := l.readStream(t.Context(), make([]byte, 10), l.index.span(i).stream+100); err != nil {
				t.Fatal(err)
			}
		}
		if got := fmt.Sprint(store.begun); got != c.begun {
			t.Errorf("%s: begun are %s, should be %s", name, got, c.begun)
		}
	}
}

// What is inflated ahead is bounded: one span where they are large, some more
// where they are small, and zeros cost nothing.
func TestSpansAheadAreBounded(t *testing.T) {
	ahead := func(from int, but ...int) (list []int) {
		for i := range aheadSpans {
			if !slices.Contains(but, from+i) {
				list = append(list, from+i)
			}
		}
		return list
	}
	for name, c := range map[string]struct {
		lengths []int64
		zero    int // which of them is zeros; 0 is none
		want    []int
	}{
		"large":            {[]int64{16 << 20, 16 << 20, 16 << 20, 16 << 20, 16 << 20}, 0, []int{3}},
		"of 4 MiB":         {[]int64{4 << 20, 4 << 20, 4 << 20, 4 << 20, 4 << 20, 4 << 20}, 0, []int{3, 4}},
		"small":            {slices.Repeat([]int64{1000}, 80), 0, ahead(3)},
		"of 1 MiB":         {slices.Repeat([]int64{1 << 20}, 20), 0, []int{3, 4, 5, 6, 7, 8, 9, 10}},
		"small, and zeros": {slices.Repeat([]int64{1000}, 80), 4, ahead(3, 4)},
		"small, and large": {[]int64{1000, 1000, 1000, 1000, maxSpan, 1000}, 0, []int{3}},
	} {
		b := newBuilder(func(error) {})
		at := int64(0)
		for i, length := range c.lengths {
			sp := span{stream: at, length: length, codec: codecStored}
			if i == c.zero && i > 0 {
				sp.codec = codecZero
			}
			if err := b.addSpan(sp); err != nil {
				t.Fatal(err)
			}
			at += length
		}
		raw, err := b.finish(stream{layout: layoutSpans, size: at})
		if err != nil {
			t.Fatal(err)
		}
		x, err := loadIndex(raw)
		if err != nil {
			t.Fatal(err)
		}
		var a spanAhead
		if got := append(a.next(x, 0), a.next(x, 1)...); len(got) > 0 {
			t.Errorf("%s: too early %v", name, got)
		}
		if got := a.next(x, 2); !slices.Equal(got, c.want) {
			t.Errorf("%s: ahead are %v, should be %v", name, got, c.want)
		}
	}
}
