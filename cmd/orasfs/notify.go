package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// A systemdNotifier tells systemd how a mount is, where it was started by a service
// of Type=notify (sd_notify(3)); elsewhere nobody listens.
type systemdNotifier struct {
	log  *slog.Logger
	stop context.CancelFunc
	done sync.WaitGroup
}

// notifySystemd says that a mount works, and from then on to the service's watchdog
// that it answers.
func notifySystemd(ctx context.Context, log *slog.Logger, target, mountpoint string) *systemdNotifier {
	n := &systemdNotifier{log: log}
	n.say(daemon.SdNotifyReady + "\nSTATUS=" + printable(fmt.Sprintf("%s is mounted at %s", target, mountpoint)))
	ctx, n.stop = context.WithCancel(ctx)
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("the watchdog isn't served", "error", err)
	}
	if every > 0 {
		// So often that one answer may be missing.
		n.done.Go(func() { n.watch(ctx, every/4, newHealth(mountpoint)) })
	}
	return n
}

// stopping says that the mount is ending.
func (n *systemdNotifier) stopping() {
	n.stop()
	n.done.Wait()
	n.say(daemon.SdNotifyStopping + "\nSTATUS=unmounting")
}

func (n *systemdNotifier) say(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.log.Warn("systemd isn't told", "error", err)
	}
}

// watch tells the watchdog that the mount answers, each time that it does. What asks is
// another process: see health.go.
func (n *systemdNotifier) watch(ctx context.Context, every time.Duration, h *health) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	defer h.end()
	for {
		asking, answered := context.WithTimeout(ctx, h.within)
		err := answers(asking, h)
		answered()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			n.log.Error("the mount doesn't answer", "mountpoint", h.mountpoint, "error", err)
		default:
			n.say(daemon.SdNotifyWatchdog)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// answers asks a mount whether it answers. One that another covers can't be asked, and
// isn't to blame for it.
func answers(ctx context.Context, h *health) error {
	if top, err := mountAt(h.mountpoint); err == nil && top != nil && top.FSType != fsType {
		return nil
	}
	return h.check(ctx)
}
