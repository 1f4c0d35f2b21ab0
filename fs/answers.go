package fs

import (
	"context"
	"strings"
	"time"

	"github.com/hashicorp/golang-lru/v2"
)

// answers are what a registry said to questions whose answers can change: what
// a tag stands for, what is at a name.
//
// An answer holds for the tags' time to live. Then the question is put again,
// and whoever asks waits for that; if the registry can't be reached, the last
// answer holds for as long again, until it is older than the allowed staleness.
//
// Where the question is only whether a name is there nobody waits: the last
// answer is used until it is that old, and the question put in the background. So
// a registry that is silent doesn't hold up what is known below the name.
type answers[T any] struct {
	tree  *tree
	about string // what the questions are about, for the log
	names bool   // whether they are only whether a name is there
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

// newNameAnswers are for questions whether a name is there.
func newNameAnswers[T any](t *tree, about string, size int) *answers[T] {
	a := newAnswers[T](t, about, size)
	a.names = true
	return a
}

// get answers the question about an object, named by its reference, with what
// is remembered or with what question says.
func (a *answers[T]) get(ctx context.Context, reference string, question func(context.Context) (T, error)) (T, error) {
	return a.getOr(ctx, reference, question, nil)
}

// getOr is get where an answer may be noted from before this mount: noted gives it,
// and when it was said, and is asked where the registry can't be reached.
func (a *answers[T]) getOr(ctx context.Context, reference string, question func(context.Context) (T, error), noted func(context.Context) (T, time.Time)) (T, error) {
	last, known := a.last.Get(reference)
	if known && a.holds(last) {
		return last.value, nil
	}
	if known && a.names && time.Since(last.said) < a.tree.maxStale {
		a.tree.again.put(hostOf(reference), a.about+" "+reference, func(ctx context.Context) {
			_, _ = a.ask(ctx, reference, question, noted) // it has remembered what there is to know
		})
		return last.value, nil
	}
	return a.ask(ctx, reference, question, noted)
}

// holds tells whether an answer is used without a question: until its time to live is
// over, and if the registry couldn't be reached then, until it is too old.
func (a *answers[T]) holds(last answer[T]) bool {
	inOutage := last.checked.After(last.said)
	return time.Since(last.checked) < a.tree.tagTTL && (!inOutage || time.Since(last.said) < a.tree.maxStale)
}

// left is how long the answer about an object is used still without a question.
func (a *answers[T]) left(reference string) time.Duration {
	last, known := a.last.Peek(reference)
	if !known {
		return 0
	}
	return max(a.tree.tagTTL-time.Since(last.checked), 0)
}

// ask puts the question to the registry, and remembers the answer.
func (a *answers[T]) ask(ctx context.Context, reference string, question func(context.Context) (T, error), noted func(context.Context) (T, time.Time)) (T, error) {
	return ask(ctx, a.tree, a.about+" "+reference, func(ctx context.Context) (T, error) {
		// One that came between the look of who asks and this.
		if last, known := a.last.Peek(reference); known && a.holds(last) {
			return last.value, nil
		}
		value, err := question(ctx)
		last, known := a.last.Peek(reference)
		if err != nil && !known && noted != nil && unreachable(err) {
			last.value, last.said = noted(ctx)
			known = !last.said.IsZero()
		}
		now := time.Now()
		switch {
		case err == nil:
			a.last.Add(reference, answer[T]{value: value, said: now, checked: now})
			a.tree.outages.over(hostOf(reference))
		case !unreachable(err):
			a.last.Remove(reference)
		case known && now.Sub(last.said) < a.tree.maxStale:
			if !outage(err) || a.tree.outages.begin(hostOf(reference)) {
				a.tree.log.Warn("the registry isn't reached, its last answers are used", "about", a.about, "reference", reference,
					"age", now.Sub(last.said).Round(time.Second), "error", err)
			}
			last.checked = now
			a.last.Add(reference, last)
			return last.value, nil
		}
		return value, err
	})
}

// hostOf is the host of a reference.
func hostOf(reference string) string {
	host, _, _ := strings.Cut(reference, "/")
	return host
}

// outages are the hosts that couldn't be reached when they were asked last, so
// that the log has a line for each and not one for each of its names.
type outages struct{ hosts *lru.Cache[string, struct{}] }

// begin tells whether this is the first that is seen of a host's outage.
func (o outages) begin(host string) bool {
	before, _ := o.hosts.ContainsOrAdd(host, struct{}{})
	return !before
}

// over takes that a host has answered.
func (o outages) over(host string) { o.hosts.Remove(host) }

// last tells whether a host's outage lasts.
func (o outages) last(host string) bool { return o.hosts.Contains(host) }
