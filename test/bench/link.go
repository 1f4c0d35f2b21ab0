//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A link is how toxiproxy slows a registry down: each connection for itself,
// as long ways and busy CDNs do.
type link struct {
	latency time.Duration // of what comes from the registry
	rate    int64         // bytes a second, 0 for no limit
}

// slow is the link of most rows.
var slow = link{latency: 20 * time.Millisecond, rate: 50e6}

// startToxiproxy starts one without any link.
func (w *workplace) startToxiproxy(ctx context.Context) error {
	port, err := freePort(ctx)
	if err != nil {
		return err
	}
	if err := w.start(w.tool("toxiproxy"), "-port", strconv.Itoa(port)); err != nil {
		return err
	}
	w.toxiproxy = fmt.Sprintf("localhost:%d", port)
	return until(ctx, func(ctx context.Context) error {
		return w.run(ctx, "curl", "-s", "-o", "/dev/null", "http://"+w.toxiproxy+"/version")
	})
}

// link gives the host and port of a way to host that is as slow as l.
func (w *workplace) link(ctx context.Context, host string, l link) (string, error) {
	port, err := freePort(ctx)
	if err != nil {
		return "", err
	}
	name := fmt.Sprintf("localhost:%d", port)
	if err := w.tell(ctx, "/proxies", map[string]any{"name": name, "listen": name, "upstream": host, "enabled": true}); err != nil {
		return "", err
	}
	// The rate stands first: latency has a queue, which would take megabytes
	// from the registry that nobody has asked for.
	if l.rate > 0 {
		if err := w.addToxic(ctx, name, "bandwidth", "rate", l.rate/1000); err != nil {
			return "", err
		}
	}
	if l.latency > 0 {
		return name, w.addToxic(ctx, name, "latency", "latency", l.latency.Milliseconds())
	}
	return name, nil
}

func (w *workplace) addToxic(ctx context.Context, proxy, kind, attribute string, value int64) error {
	return w.tell(ctx, "/proxies/"+proxy+"/toxics", map[string]any{
		"type": kind, "stream": "downstream", "attributes": map[string]int64{attribute: value},
	})
}

// tell posts to toxiproxy's API.
func (w *workplace) tell(ctx context.Context, path string, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	_, err = w.send(ctx, http.MethodPost, "http://"+w.toxiproxy+path, "application/json", bytes.NewReader(data), int64(len(data)))
	return err
}

// A counter is a way to a host that counts the bytes that come from there.
type counter struct {
	host     string // where it listens
	upstream string
	bytes    atomic.Int64

	listener net.Listener
	open     sync.WaitGroup // what accepts and what copies
}

// countBytes makes a counter that works until the workplace is closed.
func (w *workplace) countBytes(ctx context.Context, upstream string) (*counter, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "localhost:0")
	if err != nil {
		return nil, err
	}
	c := &counter{host: fmt.Sprintf("localhost:%d", listener.Addr().(*net.TCPAddr).Port), upstream: upstream, listener: listener}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.open.Go(func() { c.serve(ctx) })
	w.atEnd(func() error {
		cancel()
		err := c.listener.Close()
		c.open.Wait()
		return err
	})
	return c, nil
}

func (c *counter) serve(ctx context.Context) {
	for {
		client, err := c.listener.Accept()
		if err != nil {
			return
		}
		server, err := new(net.Dialer).DialContext(ctx, "tcp", c.upstream)
		if err != nil {
			_ = client.Close()
			continue
		}
		// Whichever side ends, both do: an HTTP connection has no halves.
		end := sync.OnceFunc(func() { _, _ = client.Close(), server.Close() })
		unhook := context.AfterFunc(ctx, end)
		c.open.Go(func() { defer end(); _, _ = io.Copy(server, client) })
		c.open.Go(func() {
			defer unhook()
			defer end()
			_, _ = io.Copy(io.MultiWriter(client, c), server)
		})
	}
}

// Write counts.
func (c *counter) Write(p []byte) (int, error) {
	c.bytes.Add(int64(len(p)))
	return len(p), nil
}
