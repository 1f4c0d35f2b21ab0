package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// A hangup has a mount read again what says how its registries are reached, as with
// most daemons. It ends a mount in the foreground of a terminal, which goes away with
// it then.

// isTerminals tells whether a hangup is that of a terminal: this process has one.
func isTerminals() bool {
	terminal, err := os.OpenFile("/dev/tty", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	_ = terminal.Close() // nothing was written
	return true
}

// hangups are those that come to this process.
type hangups struct {
	signals chan os.Signal
	serving sync.WaitGroup
	end     context.CancelFunc
}

// awaitHangups keeps those that come from now on from ending the process, unless they
// are a terminal's.
func awaitHangups() *hangups {
	h := &hangups{signals: make(chan os.Signal, 1), end: func() {}}
	if !isTerminals() {
		signal.Notify(h.signals, syscall.SIGHUP)
	}
	return h
}

// serve calls reload for each, until stop.
func (h *hangups) serve(ctx context.Context, log *slog.Logger, reload func() error) {
	ctx, h.end = context.WithCancel(ctx)
	h.serving.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-h.signals:
			}
			if err := reload(); err != nil {
				log.Error("not all could be read again, what was read before holds", "error", err)
				continue
			}
			log.Info("credentials, certificates and mirrors are read again")
		}
	})
}

// stop lets hangups end the process again.
func (h *hangups) stop() {
	signal.Stop(h.signals)
	h.end()
	h.serving.Wait()
}
