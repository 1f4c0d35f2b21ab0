package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"
)

// A monitor is how a daemon is looked at: over its socket, by whoever mounted
// (statussocket.go), and where it is asked for over HTTP, by what watches machines.
type monitor struct {
	log     *slog.Logger
	address net.Listener // of --metrics-addr; nil is none
	pprof   bool

	health  *health        // nil where nobody can ask
	working sync.WaitGroup // servers, and what they answer
	ending  sync.Once

	mu      sync.Mutex // guards what follows, and with ended that nothing is added to working
	servers []*http.Server
	ended   bool
	stop    context.CancelFunc // of taking over a socket; nil where nobody does
}

// monitorGrace is what who is being answered gets when the daemon ends.
const monitorGrace = time.Second

// newMonitor takes the address that the user has given, and answers nobody yet.
func (r *mountRequest) newMonitor(ctx context.Context, log *slog.Logger) (*monitor, error) {
	m := &monitor{log: log, pprof: r.pprof}
	if r.metricsAddr == "" {
		return m, nil
	}
	var err error
	if m.address, err = new(net.ListenConfig).Listen(ctx, "tcp", r.metricsAddr); err != nil {
		return nil, fmt.Errorf("--metrics-addr %s: %w", r.metricsAddr, err)
	}
	return m, nil
}

// watch answers for what is served, until end. Without a socket a mount is as good as
// with one.
func (m *monitor) watch(ctx context.Context, s *served) {
	socket, err := listenForStatus(ctx, s.note)
	switch {
	case errors.Is(err, errTaken):
		m.takeOver(ctx, s)
	case err != nil:
		m.log.Warn("orasfs status can't ask this mount", "error", err)
	default:
		m.serve(socket, statusHandler(s))
	}
	if m.address == nil {
		return
	}
	metrics, err := metricsHandler(s)
	if err != nil {
		m.log.Error("no metrics are served", "error", err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	m.health = newHealth(s.note.Mountpoint)
	mux.Handle("GET /healthz", m.health)
	if m.pprof {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	m.log.Info("metrics are served", "address", m.address.Addr())
	m.serve(m.address, mux)
}

// takeEvery is how often a daemon asks for the socket that another one has: mostly the
// one before it at the same place, which is ending.
const takeEvery = 200 * time.Millisecond

// takeOver has the status answered once nobody else has the socket.
func (m *monitor) takeOver(ctx context.Context, s *served) {
	m.log.Debug("another daemon has the socket of this mountpoint", "mountpoint", s.note.Mountpoint)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended {
		return
	}
	ctx, m.stop = context.WithCancel(ctx)
	m.working.Go(func() {
		for {
			socket, err := listenForStatus(ctx, s.note)
			switch {
			case err == nil:
				m.serve(socket, statusHandler(s))
				return
			case !errors.Is(err, errTaken):
				m.log.Warn("orasfs status can't ask this mount", "error", err)
				return
			}
			select {
			case <-time.After(takeEvery):
			case <-ctx.Done():
				return
			}
		}
	})
}

// serve answers on a listener until end.
func (m *monitor) serve(l net.Listener, handler http.Handler) {
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if !m.begin() {
				http.Error(w, "the mount is ending", http.StatusServiceUnavailable)
				return
			}
			defer m.working.Done()
			handler.ServeHTTP(w, req)
		}),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
		WriteTimeout:      2 * time.Minute, // a profile takes a while
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(m.log.Handler(), slog.LevelDebug),
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended {
		_ = l.Close() // nobody has been answered
		return
	}
	m.servers = append(m.servers, server)
	m.working.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			m.log.Error("nobody is answered any more", "address", l.Addr(), "error", err)
		}
	})
}

// begin counts one more who is answered, until end.
func (m *monitor) begin() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.ended {
		m.working.Add(1)
	}
	return !m.ended
}

// end answers nobody any more, and returns once nobody is being answered. It may be
// called again.
func (m *monitor) end() { m.ending.Do(m.endNow) }

func (m *monitor) endNow() {
	m.mu.Lock()
	m.ended = true
	if m.stop != nil {
		m.stop()
	}
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), monitorGrace)
	defer cancel()
	for _, server := range m.servers {
		if server.Shutdown(ctx) != nil {
			_ = server.Close() // which ends the contexts of those that are answered
		}
	}
	m.working.Wait()
	if m.health != nil {
		m.health.end()
	}
	if m.address != nil {
		_ = m.address.Close() // it may never have been served
	}
}

// statusHandler answers with how a mount is.
func statusHandler(s *served) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+statusPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.status()) // who asked may be gone
	})
	return mux
}
