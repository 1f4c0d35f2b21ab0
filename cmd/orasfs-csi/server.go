//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// closePatience is what calls get to end when the driver does.
const closePatience = 10 * time.Second

// listen makes the socket that kubelet calls, in the place of one that is left.
func listen(ctx context.Context, endpoint string) (net.Listener, error) {
	path, ok := strings.CutPrefix(endpoint, "unix:")
	path = "/" + strings.TrimLeft(path, "/")
	if !ok || path == "/" {
		return nil, fmt.Errorf("--endpoint %s: it is unix:///PATH", endpoint)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&iofs.ModeSocket != 0 {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	// Secrets come this way.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// serveCalls answers calls until ctx ends.
func (d *driver) serveCalls(ctx context.Context, l net.Listener) error {
	server := grpc.NewServer(grpc.UnaryInterceptor(d.call))
	csi.RegisterIdentityServer(server, d)
	csi.RegisterNodeServer(server, d)
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		hard := time.AfterFunc(closePatience, server.Stop)
		defer hard.Stop()
		server.GracefulStop()
	})
	err := server.Serve(l)
	if !stop() {
		<-ended
	}
	return err
}

// call does one call and logs it: never what it brings, which may be a secret.
func (d *driver) call(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (resp any, err error) {
	began := time.Now()
	defer func() {
		if p := recover(); p != nil {
			d.log.Error("a call panicked", "call", info.FullMethod, "panic", p, "stack", string(debug.Stack()))
			err = status.Error(codes.Internal, "a defect of orasfs-csi, see its log")
		}
		level := slog.LevelDebug
		fields := []any{"call", info.FullMethod, "took", time.Since(began)}
		if r, ok := req.(interface{ GetVolumeId() string }); ok {
			fields = append(fields, "volume", r.GetVolumeId())
		}
		if r, ok := req.(interface{ GetTargetPath() string }); ok {
			fields = append(fields, "target", r.GetTargetPath())
		}
		if err != nil {
			level = slog.LevelWarn
			fields = append(fields, "error", err)
		}
		d.log.Log(ctx, level, "called", fields...)
	}()
	return handle(ctx, req)
}
