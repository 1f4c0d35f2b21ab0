//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// openFigure: open(2) of what isn't verified yet while somebody reads it, where
// everything that asks the network takes long.
var openFigure = figure{
	name: "1c",
	rows: []row{
		{"open(2) of 1 GiB that another one is reading, 1.5 s latency, median", "median", "curl of one byte", seconds, 0.01},
		{"the same, the longest", "longest", "curl of one byte", seconds, 0.05},
	},
	prepare: func(ctx context.Context, w *workplace) ([]step, error) {
		host, err := w.link(ctx, w.registry, link{latency: 1500 * time.Millisecond})
		if err != nil {
			return nil, err
		}
		b, err := w.blob(ctx, "big", w.size(1<<30))
		if err != nil {
			return nil, err
		}
		return []step{
			w.curl("curl of one byte", host, b, "-r", "0-0"),
			w.mounted("", host, nil, func(ctx context.Context, m *mount) (results, error) {
				reading, stop := context.WithCancel(ctx)
				cat := w.command(reading, "cat", m.blob(b))
				defer func() { stop(); _ = cat.Wait() }()
				if err := cat.Start(); err != nil {
					return nil, err
				}
				time.Sleep(5 * time.Second) // until it has found the file and reads
				t, err := w.read(ctx, "open", m.blob(b), "15s")
				return results{"median": t.Median, "longest": t.Max}, err
			}),
		}, nil
	},
}

// hugeFigure: what the size of a blob costs whoever reads a little of it.
var hugeFigure = figure{
	name: "13",
	rows: []row{
		{"open, 4 KiB at a random place, close, of 200 GiB, cold, no limits", "200 GiB, cold", "orasfs, 1 GiB, cold", seconds, 1.3},
		{"the same places after a restart", "200 GiB", "orasfs, 1 GiB", seconds, 1.3},
	},
	prepare: func(ctx context.Context, w *workplace) ([]step, error) {
		registry := fakeregistry.New()
		host, err := w.serve(ctx, registry)
		if err != nil {
			return nil, err
		}
		add := func(name string, size int64) blob {
			// Nobody reads all of it, so nobody finds its digest wrong.
			d := digest.FromString(name)
			return blob{name, registry.AddReader(repository, d, fakeregistry.Generated(1, size), size)}
		}
		return []step{
			w.reopenTwice("200 GiB", host, add("huge", 200<<30)),
			w.reopenTwice("orasfs, 1 GiB", host, add("large", 1<<30)),
		}, nil
	},
}

// reopenTwice is a step that opens a blob often, and again after a restart.
func (w *workplace) reopenTwice(name, host string, b blob) step {
	cache := filepath.Join(w.dir, "restarted")
	reopen := func(name string) step {
		return w.mounted(cache, host, nil, func(ctx context.Context, m *mount) (results, error) {
			t, err := w.read(ctx, "reopen", m.blob(b), strconv.Itoa(w.count(200)))
			return results{name: t.Mean}, err
		})
	}
	return func(ctx context.Context) (measured results, err error) {
		defer func() { err = errors.Join(err, os.RemoveAll(cache)) }()
		return all(ctx, reopen(name+", cold"), reopen(name))
	}
}

// serve serves a handler until the workplace is closed.
func (w *workplace) serve(ctx context.Context, handler http.Handler) (host string, err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "localhost:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	w.atEnd(func() error {
		err := server.Close()
		if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
			err = errors.Join(err, ended)
		}
		return err
	})
	return fmt.Sprintf("localhost:%d", listener.Addr().(*net.TCPAddr).Port), nil
}
