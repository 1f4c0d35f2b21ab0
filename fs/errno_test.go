package fs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"github.com/orasfs/orasfs/cache"
)

func TestErrno(t *testing.T) {
	response := func(status int) error {
		return fmt.Errorf("resolve: %w", &errcode.ErrorResponse{Method: "GET", StatusCode: status})
	}
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()

	for name, test := range map[string]struct {
		ctx    context.Context
		err    error
		errno  syscall.Errno
		logged bool
	}{
		"nothing":             {t.Context(), nil, 0, false},
		"not found":           {t.Context(), fmt.Errorf("x: %w", errdef.ErrNotFound), syscall.ENOENT, false},
		"404":                 {t.Context(), response(404), syscall.ENOENT, false},
		"401":                 {t.Context(), response(401), syscall.EACCES, true},
		"403":                 {t.Context(), response(403), syscall.EACCES, true},
		"no credential":       {t.Context(), fmt.Errorf("x: %w", auth.ErrBasicCredentialNotFound), syscall.EACCES, true},
		"a file of another":   {t.Context(), &os.PathError{Op: "open", Path: "blobs", Err: syscall.EACCES}, syscall.EACCES, true},
		"500":                 {t.Context(), response(500), syscall.EIO, true},
		"deadline":            {t.Context(), fmt.Errorf("x: %w", context.DeadlineExceeded), syscall.ETIMEDOUT, true},
		"timeout of a socket": {t.Context(), &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, syscall.ETIMEDOUT, true},
		"wrong digest":        {t.Context(), fmt.Errorf("x: %w", cache.ErrDigest), syscall.EIO, true},
		"anything":            {t.Context(), errors.New("anything"), syscall.EIO, true},
		"interrupt":           {interrupted, fmt.Errorf("x: %w", context.Canceled), syscall.EINTR, false},
		"cancelled for others": {
			t.Context(), fmt.Errorf("x: %w", context.Canceled), syscall.EIO, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			tree, log := loggedTree(t)
			if errno := tree.errno(test.ctx, "read blob", "host/repo@sha256:ab", test.err); errno != test.errno {
				t.Errorf("errno %v, want %v", errno, test.errno)
			}
			lines := strings.Count(log.String(), "\n")
			if test.logged && (lines != 1 || !strings.Contains(log.String(), "host/repo@sha256:ab") || !strings.Contains(log.String(), test.err.Error())) {
				t.Errorf("the log has %q", log.String())
			}
			if !test.logged && lines != 0 {
				t.Errorf("the log has %q", log.String())
			}
		})
	}
}

// TestNoRegistryAndOutage tells a host that has no registry from a registry that
// can't be reached, and both from one that answers.
func TestNoRegistryAndOutage(t *testing.T) {
	response := func(status int) error {
		return fmt.Errorf("x: %w", &errcode.ErrorResponse{Method: "GET", StatusCode: status})
	}
	for name, test := range map[string]struct {
		err        error
		none, away bool
	}{
		"nothing":         {nil, false, false},
		"unknown host":    {fmt.Errorf("x: %w", &net.DNSError{Err: "no such host", IsNotFound: true}), true, true},
		"no name service": {fmt.Errorf("x: %w", &net.DNSError{Err: "server misbehaving", IsTemporary: true}), false, true},
		"no API":          {response(404), true, false},
		"refused":         {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, false, true},
		"deadline":        {fmt.Errorf("x: %w", context.DeadlineExceeded), false, true},
		"401":             {response(401), false, false},
		"500":             {response(500), false, false},
		"503":             {response(503), false, true},
		"522":             {response(522), false, true},
		"530":             {response(530), false, true},
	} {
		if none, away := noRegistry(test.err), outage(test.err); none != test.none || away != test.away {
			t.Errorf("%s: no registry %v, outage %v", name, none, away)
		}
	}
}
