package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
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
		n.done.Go(func() { n.watch(ctx, every/2, mountpoint) })
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

// watch tells the watchdog that the mount answers, each time that it does.
func (n *systemdNotifier) watch(ctx context.Context, every time.Duration, mountpoint string) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	answers := make(chan error, 1)
	for asked := false; ; {
		if !asked { // one question at a time: it may never be answered
			asked = true
			go func() {
				var st unix.Statfs_t
				answers <- unix.Statfs(mountpoint, &st)
			}()
		}
		select {
		case err := <-answers:
			if asked = false; err == nil {
				n.say(daemon.SdNotifyWatchdog)
			} else {
				n.log.Error("the mount doesn't answer", "mountpoint", mountpoint, "error", err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		case <-ctx.Done():
			return
		}
	}
}
