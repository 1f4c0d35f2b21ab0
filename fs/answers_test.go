package fs

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// until waits until something is so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// age makes an answer older.
func (a *answers[T]) age(reference string, by time.Duration) {
	last, _ := a.last.Peek(reference)
	last.said, last.checked = last.said.Add(-by), last.checked.Add(-by)
	a.last.Add(reference, last)
}

var errDown = &errcode.ErrorResponse{StatusCode: http.StatusServiceUnavailable}

func TestNameAnswers(t *testing.T) {
	tr, _ := treeOn(t, "")
	a := newNameAnswers[int](tr, "name", 100)
	says := func(value int, err error) func(context.Context) (int, error) {
		return func(context.Context) (int, error) { return value, err }
	}
	get := func(reference string, want int, question func(context.Context) (int, error)) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if got, err := a.get(ctx, reference, question); got != want || err != nil {
			t.Errorf("%s: %d, %v", reference, got, err)
		}
	}
	for _, name := range []string{"host/a", "host/b", "other/a"} {
		get(name, 1, says(1, nil))
		get(name, 1, says(2, nil))
		a.age(name, tr.tagTTL)
	}

	// A host that is silent is asked one question, and nobody waits.
	asked, answer := make(chan string, 10), make(chan struct{})
	silent := func(name string) func(context.Context) (int, error) {
		return func(ctx context.Context) (int, error) {
			asked <- name
			select {
			case <-answer:
			case <-ctx.Done():
			}
			return 2, ctx.Err()
		}
	}
	for range 3 {
		get("host/a", 1, silent("a"))
		get("host/b", 1, silent("b"))
	}
	if first := <-asked; first != "a" || len(asked) != 0 {
		t.Errorf("%s and %d more are asked for at once", first, len(asked))
	}
	// It holds up no other.
	get("other/a", 1, says(2, nil))
	until(t, "another host is asked", func() bool { v, _ := a.last.Peek("other/a"); return v.value == 2 })
	close(answer)
	until(t, "all are asked for again", func() bool {
		x, _ := a.last.Peek("host/a")
		y, _ := a.last.Peek("host/b")
		return x.value == 2 && y.value == 2
	})
	if len(asked) != 1 {
		t.Errorf("%d more are asked for, not one", len(asked))
	}

	// What is denied isn't there the next time; what is too old is waited for.
	a.age("host/a", tr.tagTTL)
	get("host/a", 2, says(0, errdef.ErrNotFound))
	until(t, "it isn't there any more", func() bool { return !a.last.Contains("host/a") })
	a.age("host/b", tr.maxStale)
	if _, err := a.get(t.Context(), "host/b", says(0, errDown)); !unreachable(err) {
		t.Errorf("an answer that is too old: %v", err)
	}
}

func TestTagAnswers(t *testing.T) {
	tr, _ := treeOn(t, "")
	var log bytes.Buffer
	tr.log = slog.New(slog.NewTextHandler(&log, nil))
	a := newAnswers[int](tr, "tag", 100)
	asked := 0
	get := func(reference string, value int, err error) (int, error) {
		return a.get(t.Context(), reference, func(context.Context) (int, error) {
			asked++
			return value, err
		})
	}
	tags := []string{"host/app:a", "host/app:b", "host/app:c"}
	for _, tag := range tags {
		if got, err := get(tag, 1, nil); got != 1 || err != nil {
			t.Errorf("%d, %v", got, err)
		}
		a.age(tag, tr.tagTTL)
	}
	if got, err := get(tags[0], 2, nil); got != 2 || err != nil {
		t.Errorf("after its time to live a tag is %d, %v", got, err)
	}
	a.age(tags[0], tr.tagTTL)
	asked = 0
	for _, tag := range append(tags, tags...) {
		if got, err := get(tag, 0, errDown); got == 0 || err != nil {
			t.Errorf("while the registry is down %s is %d, %v", tag, got, err)
		}
	}
	if asked != len(tags) {
		t.Errorf("each is asked for once in its time to live, not %d", asked)
	}
	if n := strings.Count(log.String(), "the registry isn't reached"); n != 1 {
		t.Errorf("%d lines in the log for one outage:\n%s", n, log.String())
	}
	a.age(tags[0], tr.maxStale)
	if _, err := get(tags[0], 0, errDown); !unreachable(err) {
		t.Errorf("an answer that is too old: %v", err)
	}
}

// In an outage an answer holds until it is older than it may be, however often the
// registry was asked again meanwhile, and not until its time to live is over.
func TestStaleAnswers(t *testing.T) {
	tr, _ := treeOn(t, "")
	tr.maxStale = 3*tr.tagTTL + tr.tagTTL/2
	a := newAnswers[int](tr, "tag", 100)
	const tag = "host/app:a"
	asked := 0
	get := func(err error) error {
		_, err = a.get(t.Context(), tag, func(context.Context) (int, error) {
			asked++
			return 1, err
		})
		return err
	}
	if err := get(nil); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		a.age(tag, tr.tagTTL)
		if err := get(errDown); err != nil {
			t.Errorf("an answer that isn't too old: %v", err)
		}
		if err := get(errDown); err != nil { // it is known now that the registry is down
			t.Errorf("an answer that isn't too old, again: %v", err)
		}
	}
	a.age(tag, tr.tagTTL/2)
	if err := get(errDown); !unreachable(err) {
		t.Errorf("an answer that is too old: %v", err)
	}
	if asked != 1+3+1 {
		t.Errorf("the registry was asked %d times", asked)
	}

	// One that the registry has given holds for its time to live, however short
	// the last one might be used.
	tr.maxStale = tr.tagTTL / 2
	if err := get(nil); err != nil {
		t.Fatal(err)
	}
	a.age(tag, tr.tagTTL*3/4)
	if err := get(errDown); err != nil {
		t.Errorf("an answer within its time to live: %v", err)
	}
}
