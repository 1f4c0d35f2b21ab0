package resolver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// All times that the network may take are measured here, in units of
// Options.Timeout: an attempt without progress ends after one, and what a caller
// waits for after two.

// minProgress is how many bytes of a body have to come within Options.Timeout,
// unless the body ends: a byte a second would hold a slot for ever.
const minProgress = 16 << 10

// A timeoutError says what took too long. It is a context.DeadlineExceeded to
// errors.Is, and isn't the caller's own deadline.
type timeoutError struct {
	text    string
	stalled bool // one attempt made no progress; else the whole took too long
}

func (e timeoutError) Error() string { return e.text }

// Timeout is for net.Error.
func (e timeoutError) Timeout() bool { return true }

// Temporary is for net.Error.
func (e timeoutError) Temporary() bool { return true }

// Is makes it a context.DeadlineExceeded.
func (e timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// timedOut returns the timeout that ended ctx where there is one, else err.
func timedOut(ctx context.Context, err error) error {
	var timeout timeoutError
	if errors.As(context.Cause(ctx), &timeout) {
		return timeout
	}
	return err
}

// left is how long ctx goes on at most.
func left(ctx context.Context) time.Duration {
	if end, ok := ctx.Deadline(); ok {
		return time.Until(end)
	}
	return 1<<63 - 1
}

// withBound ends an operation after d.
func withBound(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, tooLong(d))
}

func tooLong(d time.Duration) error { return timeoutError{text: fmt.Sprintf("not done within %s", d)} }

// A patience is a context that ends when it has run for limit. It runs between
// start and stop, so that only what somebody waits for is counted.
type patience struct {
	context.Context
	cancel context.CancelCauseFunc
	limit  time.Duration
	timer  *time.Timer

	mu   sync.Mutex // guards ends
	ends time.Time  // zero while it doesn't run
}

func newPatience(ctx context.Context, limit time.Duration) *patience {
	p := &patience{limit: limit}
	p.Context, p.cancel = context.WithCancelCause(ctx)
	p.timer = time.AfterFunc(limit, func() { p.cancel(tooLong(limit)) })
	p.timer.Stop()
	return p
}

// start begins anew, unless it runs.
func (p *patience) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ends.IsZero() {
		p.ends = time.Now().Add(p.limit)
		p.timer.Reset(p.limit)
	}
}

func (p *patience) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ends = time.Time{}
	p.timer.Stop()
}

// Deadline implements context.Context: when it ends if it runs on, or would if
// it were started now.
func (p *patience) Deadline() (time.Time, bool) {
	p.mu.Lock()
	ends := p.ends
	p.mu.Unlock()
	if ends.IsZero() {
		ends = time.Now().Add(p.limit)
	}
	if parent, ok := p.Context.Deadline(); ok && parent.Before(ends) {
		ends = parent
	}
	return ends, true
}

// attempt sends a request, which has to have an answer within timeout, and then
// a body that goes on. left is called once, when the answer's body has ended.
//
// What stalls may do so because the network has forgotten its connections: idle
// ones aren't used after that.
func attempt(transport *http.Transport, req *http.Request, timeout time.Duration, left func()) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	stalled := func(text string) *time.Timer {
		return time.AfterFunc(timeout, func() {
			transport.CloseIdleConnections()
			cancel(timeoutError{text, true})
		})
	}
	timer := stalled(fmt.Sprintf("no answer for %s", timeout))
	resp, err := transport.RoundTrip(req.WithContext(ctx))
	timer.Stop()
	if err != nil {
		err = timedOut(ctx, err)
		cancel(nil)
		left()
		return nil, err
	}
	body := &watchedBody{body: resp.Body, ctx: ctx, timeout: timeout}
	body.end = sync.OnceFunc(func() {
		cancel(nil)
		left()
	})
	body.timer = stalled(fmt.Sprintf("less than %d bytes in %s", minProgress, timeout))
	body.timer.Stop()
	if resp.Body == http.NoBody {
		body.end() // not everybody closes what has no body
	}
	resp.Body = body
	return resp, nil
}

// A watchedBody ends its request when Reads wait for too long. The time between
// two of them isn't counted: a reader may be slow.
type watchedBody struct {
	body    io.ReadCloser
	ctx     context.Context
	end     func()
	timeout time.Duration
	timer   *time.Timer   // runs during a Read
	waited  time.Duration // for the bytes that are counted in got
	got     int64         // less than minProgress
}

// Read implements io.Reader.
func (b *watchedBody) Read(p []byte) (int, error) {
	begun := time.Now()
	b.timer.Reset(b.timeout - b.waited)
	n, err := b.body.Read(p)
	b.timer.Stop()
	b.waited += time.Since(begun)
	if b.got += int64(n); b.got >= minProgress {
		b.got, b.waited = 0, 0
	}
	if err != nil {
		if !errors.Is(err, io.EOF) {
			err = timedOut(b.ctx, err)
		}
		b.end()
	}
	return n, err
}

// Close implements io.Closer.
func (b *watchedBody) Close() error {
	b.timer.Stop()
	err := b.body.Close()
	b.end()
	return err
}
