package fs

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"syscall"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/orasfs/orasfs/fs/images"
	"github.com/orasfs/orasfs/fs/signed"
	"github.com/orasfs/orasfs/resolver"
)

// This file is the only place where errors become errno values.

// errno tells what a program sees of an error, and writes the line in the log
// that says why, see complaints. The line names the operation and the reference.
//
//	ENOENT     the name isn't there
//	EACCES     401 and 403, a local file that may not be read, and what isn't signed
//	ETIMEDOUT  a deadline
//	ESTALE     what the kernel knows isn't there any more: it looks the name up
//	EINTR      the program was interrupted
//	EIO        content that doesn't match its digest, a registry that failed
//	           after retries, and everything else
//
// A name that isn't there or not any more, and an interrupt, are not failures and
// have no line.
func (t *tree) errno(ctx context.Context, operation, reference string, err error) syscall.Errno {
	if err == nil {
		return 0
	}
	code := errnoOf(err)
	var unsigned *notSignedError
	switch {
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return syscall.EINTR
	case t.ctx.Err() != nil:
		return syscall.EIO // unmounted: nobody is there to see it
	case code == syscall.ENOENT, code == syscall.ESTALE:
		t.log.Debug(operation, "reference", reference, "errno", errnoNames[code], "error", err)
	case errors.As(err, &unsigned): // one line, whatever the operation
		t.complaints.add("verify", unsigned.reference, errnoNames[code], unsigned.cause)
	default:
		t.complaints.add(operation, reference, errnoNames[code], err)
	}
	return code
}

// contentErrno is errno for the content of something whose name is there: if
// the registry doesn't have it, that is a failure.
func (t *tree) contentErrno(ctx context.Context, operation, reference string, err error) syscall.Errno {
	if missing(err) {
		err = missingError{err}
	}
	return t.errno(ctx, operation, reference, err)
}

// followErrno is errno for the tag that a mount follows: that it is gone is a failure,
// too, and has a line.
func (t *tree) followErrno(ctx context.Context, reference string, err error) syscall.Errno {
	code := t.errno(ctx, "follow tag", reference, err)
	if code == syscall.ENOENT {
		t.complaints.add("follow tag", reference, errnoNames[code], err)
	}
	return code
}

// A missingError is content that ought to be there.
type missingError struct{ cause error }

func (e missingError) Error() string { return "it is gone: " + e.cause.Error() }

var errnoNames = map[syscall.Errno]string{
	syscall.ENOENT:    "ENOENT",
	syscall.ESTALE:    "ESTALE",
	syscall.EACCES:    "EACCES",
	syscall.ETIMEDOUT: "ETIMEDOUT",
	syscall.EIO:       "EIO",
}

func errnoOf(err error) syscall.Errno {
	switch {
	case errors.Is(err, errdef.ErrNotFound), errors.Is(err, errdef.ErrInvalidReference), status(err) == http.StatusNotFound:
		return syscall.ENOENT
	case denied(err), signed.Denied(err):
		return syscall.EACCES
	case timedOut(err):
		return syscall.ETIMEDOUT
	case errors.Is(err, images.ErrStale):
		return syscall.ESTALE
	}
	return syscall.EIO
}

// status is the HTTP status of a registry's error response, 0 for other errors.
func status(err error) int {
	var response *errcode.ErrorResponse
	if errors.As(err, &response) {
		return response.StatusCode
	}
	return 0
}

func denied(err error) bool {
	code := status(err)
	return code == http.StatusUnauthorized || code == http.StatusForbidden || errors.Is(err, auth.ErrBasicCredentialNotFound) ||
		errors.Is(err, os.ErrPermission) // of a local layout
}

func timedOut(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// missing tells whether an error says that something isn't there.
func missing(err error) bool { return err != nil && errnoOf(err) == syscall.ENOENT }

// noRegistry tells whether an error of asking a host for its registry says that
// there is none: the name is unknown, or what answers has no such API.
func noRegistry(err error) bool {
	var lookup *net.DNSError
	return errors.As(err, &lookup) && lookup.IsNotFound || status(err) == http.StatusNotFound
}

// outage tells whether an error is that of the whole registry, and not of what it
// was asked: it gave no answer, or what stands before it did.
func outage(err error) bool {
	code := status(err)
	return (code == 0 || resolver.Unavailable(code)) && unreachable(err)
}

// gone tells whether an error is that a registry can't be reached at all, so that
// a list of what was met would pass for its own.
func gone(err error) bool {
	return err != nil && status(err) == 0 && unreachable(err) && (!timedOut(err) || resolver.IsDown(err))
}

// unreachable tells whether an error leaves open what the registry would have
// said: it gave no answer, or only that it can't at the moment.
func unreachable(err error) bool {
	code := status(err)
	switch {
	case code != 0:
		return code >= http.StatusInternalServerError || code == http.StatusTooManyRequests || code == http.StatusRequestTimeout
	case errors.Is(err, errdef.ErrNotFound), errors.Is(err, errdef.ErrInvalidReference), denied(err):
		return false
	}
	var network net.Error
	return errors.As(err, &network) || timedOut(err)
}
