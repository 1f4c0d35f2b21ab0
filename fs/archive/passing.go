package archive

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
)

// A passing is one pass through a layer, for those who read what it has come by.
// Nothing of that is verified before the pass has ended: so its spans are kept
// under a key that no other pass has, and no layer that wasn't made by it. Where
// it fails nobody gets anything of it any more.
type passing struct {
	key    string // of its spans in the store
	source *Source

	mu  sync.Mutex // guards err
	err error      // why it failed
}

var passings atomic.Uint64 // so far

func newPassing(s *Source) *passing {
	return &passing{key: "pass-" + strconv.FormatUint(passings.Add(1), 10), source: s}
}

// partial is the source of what has been come by.
func (p *passing) partial() *Source {
	s := *p.source
	s.Passed, s.Store, s.passing = nil, passingStore{s.Store, p}, p
	return &s
}

// keep has the store keep a span.
func (p *passing) keep(ctx context.Context, i int, data []byte) {
	// That it isn't kept costs time later, and nothing else.
	_, _ = p.source.Store.Keep(ctx, spanKey(p.key, i), 0, func(context.Context) ([]byte, error) { return data, nil })
}

// end ends the pass, with its error.
func (p *passing) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func (p *passing) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return fmt.Errorf("what was read of layer %s before all of it had come: %w", p.source.Digest, p.err)
	}
	return nil
}

// A passingStore is a store that gives nothing of a pass that failed.
type passingStore struct {
	Store
	pass *passing
}

// Keep implements Store.
func (s passingStore) Keep(ctx context.Context, key string, cost int64, fill func(context.Context) ([]byte, error)) ([]byte, error) {
	data, err := s.Store.Keep(ctx, key, cost, fill)
	if failure := s.pass.failure(); failure != nil {
		return nil, failure
	}
	return data, err
}

// Kept implements Store.
func (s passingStore) Kept(key string) ([]byte, bool) {
	data, ok := s.Store.Kept(key)
	return data, ok && s.pass.failure() == nil
}

// spanKey is under which span i is kept.
func spanKey(keep string, i int) string { return keep + "/" + strconv.Itoa(i) }
