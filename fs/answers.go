package fs

import (
	"context"
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
	return ask(ctx, a.tree, a.about+" "+reference, func(ctx context.Context) (T, error) {
		value, err := question(ctx)
		now := time.Now()
		switch {
		case err == nil:
			a.last.Add(reference, answer[T]{value: value, said: now, checked: now})
		case !unreachable(err):
			a.last.Remove(reference)
		case known && now.Sub(last.said) < a.tree.maxStale:
			a.tree.log.Warn("the registry isn't reached, its last answer is used", "about", a.about, "reference", reference,
				"age", now.Sub(last.said).Round(time.Second), "error", err)
			last.checked = now
			a.last.Add(reference, last)
			return last.value, nil
		}
		return value, err
	})
}
