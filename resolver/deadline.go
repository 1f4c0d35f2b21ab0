package resolver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

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

// A deadlineTransport ends an attempt that makes no progress: that has no
// header after timeout, or that waits for a byte of the body for as long. The
// time between two reads of the body isn't counted: a reader may be slow.
type deadlineTransport struct {
	base    http.RoundTripper
	timeout time.Duration
}

// RoundTrip implements http.RoundTripper.
func (t *deadlineTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(req.Context())
	timer := time.AfterFunc(t.timeout, func() {
		cancel(timeoutError{fmt.Sprintf("no answer for %s", t.timeout), true})
	})
	resp, err := t.base.RoundTrip(req.WithContext(ctx))
	timer.Stop()
	if err != nil {
		err = timedOut(ctx, err)
		cancel(nil)
		return nil, err
	}
	body := &deadlineBody{body: resp.Body, ctx: ctx, cancel: cancel, timeout: t.timeout}
	body.timer = time.AfterFunc(t.timeout, func() {
		cancel(timeoutError{fmt.Sprintf("no byte for %s", t.timeout), true})
	})
	body.timer.Stop()
	resp.Body = body
	return resp, nil
}

// timedOut returns the timeout that ended ctx where there is one, else err.
func timedOut(ctx context.Context, err error) error {
	var timeout timeoutError
	if errors.As(context.Cause(ctx), &timeout) {
		return timeout
	}
	return err
}

// A deadlineBody ends its request when a read waits for too long.
type deadlineBody struct {
	body    io.ReadCloser
	ctx     context.Context
	cancel  context.CancelCauseFunc
	timeout time.Duration
	timer   *time.Timer // runs during a Read
}

// Read implements io.Reader.
func (b *deadlineBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.timeout)
	n, err := b.body.Read(p)
	b.timer.Stop()
	if err != nil && !errors.Is(err, io.EOF) {
		err = timedOut(b.ctx, err)
	}
	return n, err
}

// Close implements io.Closer.
func (b *deadlineBody) Close() error {
	b.timer.Stop()
	err := b.body.Close()
	b.cancel(nil)
	return err
}
