//go:build linux

package main

import "context"

// A runner runs the processes that serve mounts, so that they outlive the driver.
type runner interface {
	// start runs the program with args, which is done once a daemon that it started
	// answers, and says else on standard error why there is none. The daemon has a name
	// by which a driver that comes after this one knows it, too. If ctx ends before, no
	// process is left.
	start(ctx context.Context, name string, args []string) error
	// stop ends the processes of a name, at the latest after stopPatience, and returns
	// once they are gone. There may be none.
	stop(ctx context.Context, name string) error
	// running are the names whose processes there are.
	running(ctx context.Context) ([]string, error)
}

// unitPrefix is how the names of all processes begin.
const unitPrefix = "orasfs-csi-"
