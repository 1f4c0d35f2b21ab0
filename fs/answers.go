package fs

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/hashicorp/golang-lru/v2"
)

// answers are what a registry said to questions whose answers can change: what
// a tag stands for, what is at a name.
//
// An answer holds for the tags' time to live. If the registry can't be reached
// then, the last answer is used until it is older than the allowed staleness.
type answers[T any] struct {
	tree  *tree
	about string // what the questions are about, for the log
	last  *lru.Cache[string, answer[T]]
}

// outageLasts is how long a registry that couldn't be reached isn't asked again
// what it has answered before: a path has several names, and each would wait for
// it.
const outageLasts = 5 * time.Second

// An answer is the last one to a question.
type answer[T any] struct {
	value T
	// said is when the registry said so; checked is when it was last asked,
	// which is later if it couldn't be reached.
	said, checked time.Time
}

func newAnswers[T any](t *tree, about string, size int) *answers[T] {
	return &answers[T]{tree: t, about: about, last: newLRU[string, answer[T]](size)}
}

// get answers the question about an object, named by its reference, with what
// is remembered or with what question says.
func (a *answers[T]) get(ctx context.Context, reference string, question func(context.Context) (T, error)) (T, error) {
	last, known := a.last.Get(reference)
	if known && time.Since(last.checked) < a.tree.tagTTL {
		return last.value, nil
	}
	host, _, _ := strings.Cut(reference, "/")
	if known && a.tree.out(host) && time.Since(last.said) < a.tree.maxStale {
		return a.stale(reference, last, min(outageLasts, a.tree.tagTTL), errOut), nil
	}
	return ask(ctx, a.tree, a.about+" "+reference, func(ctx context.Context) (T, error) {
		value, err := question(ctx)
		now := time.Now()
		if outage(err) {
			a.tree.outages.Add(host, now)
		} else {
			a.tree.outages.Remove(host)
		}
		switch {
		case err == nil:
			a.last.Add(reference, answer[T]{value: value, said: now, checked: now})
		case !unreachable(err):
			a.last.Remove(reference)
		case known && now.Sub(last.said) < a.tree.maxStale:
			return a.stale(reference, last, a.tree.tagTTL, err), nil
		}
		return value, err
	})
}

// errOut is why a host isn't asked.
var errOut = errors.New("it couldn't be reached a moment ago")

// stale uses a last answer, which holds for so long again.
func (a *answers[T]) stale(reference string, last answer[T], hold time.Duration, err error) T {
	now := time.Now()
	a.tree.log.Warn("the registry isn't reached, its last answer is used", "about", a.about, "reference", reference,
		"age", now.Sub(last.said).Round(time.Second), "error", err)
	last.checked = now.Add(hold - a.tree.tagTTL)
	a.last.Add(reference, last)
	return last.value
}

// out tells whether a host couldn't be reached a moment ago.
func (t *tree) out(host string) bool {
	at, ok := t.outages.Get(host)
	return ok && time.Since(at) < outageLasts
}
