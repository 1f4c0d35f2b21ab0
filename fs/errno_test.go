package fs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
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
			var log bytes.Buffer
			tree := &tree{ctx: t.Context(), log: slog.New(slog.NewTextHandler(&log, nil))}
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
