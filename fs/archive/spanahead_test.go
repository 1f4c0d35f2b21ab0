package archive

import (
	"context"
	"testing"
)

// begunStore counts what is begun without being waited for.
type begunStore struct {
	*memoryStore
	begun int
}

func (b *begunStore) Keep(ctx context.Context, key string, cost int64, fill func(context.Context) ([]byte, error)) ([]byte, error) {
	if ctx.Err() != nil {
		b.begun++
	}
	return b.memoryStore.Keep(ctx, key, cost, fill)
}

// Whoever reads on has the next span inflated beside it; whoever looks at a
// file here and there, or at one that lies in two spans, hasn't.
func TestSpansAhead(t *testing.T) {
	const size = 20 << 20
	s := source(members(t, pack(t, file{name: "a", content: string(mixed(size, 9))}), 1, 6))
	openLayer(t, s)
	spans := int64(openLayer(t, s).index.spans.len())
	for name, c := range map[string]struct {
		offsets []int64 // in spans
		begun   int
	}{
		"in sequence":     {[]int64{0, 1, 2, 3, 4}, 3},
		"in small steps":  {[]int64{0, 0, 1, 1, 2, 2, 2, 3}, 2},
		"two spans":       {[]int64{3, 4}, 0},
		"here and there":  {[]int64{5, 1, 3, 0, 2, 6}, 0},
		"backwards":       {[]int64{6, 5, 4, 3, 2}, 0},
		"up to the end":   {[]int64{spans - 3, spans - 2, spans - 1}, 0},
		"from the middle": {[]int64{4, 5, 6}, 1},
	} {
		store := &begunStore{memoryStore: s.Store.(*memoryStore)}
		fresh := *s
		fresh.Store = store
		l := openLayer(t, &fresh)
		for _, i := range c.offsets {
			if err := l.readStream(t.Context(), make([]byte, 10), l.index.span(int(i)).stream+100); err != nil {
				t.Fatal(err)
			}
		}
		if store.begun != c.begun {
			t.Errorf("%s: %d spans begun, want %d", name, store.begun, c.begun)
		}
	}
}
