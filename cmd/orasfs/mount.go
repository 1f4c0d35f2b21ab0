package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func newMountCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mount [flags] [TARGET] MOUNTPOINT",
		Short: "Mount registries, a part of one, or one artifact",
		Long: `Mount every registry (no TARGET; a host is looked up when it is named), one
(HOST[:PORT]), a namespace or repository of it (HOST/NAME), or one artifact
(HOST/NAME:TAG, HOST/NAME@DIGEST). An artifact stays the one that the tag means
when it is mounted; an image shows its root file system, any other its files. With
--follow it is what the tag means now: ..data is a link to that, and all other names
are links through it.
With --oci-layout the TARGET is a folder or a tar on this machine.

mount returns once the mount works; a daemon goes on behind. Credentials are
those of ORAS and Docker, or --username with --password-stdin, or ORASFS_PASSWORD
in the environment. Mirrors are those that containerd has. SIGHUP makes the daemon
read credentials, certificates and mirrors again.`,
		Example: `  orasfs mount /mnt/oci
  orasfs mount localhost:5000 /mnt/oci
  orasfs mount ghcr.io/org/app /mnt/app
  orasfs mount ghcr.io/org/model:v1 /models
  orasfs mount --oci-layout hello-world.tar /mnt/oci
  echo "$TOKEN" | orasfs mount -u me --password-stdin registry.example.com /mnt/oci
  orasfs mount -f -v -o allow_other,tag-ttl=5m localhost:5000 /mnt/oci`,
		ValidArgsFunction: completeMountArgs,
	}
	addMount(cmd, false)
	return cmd
}

// mountHelperName is the command that mount.fuse3 ends up in.
const mountHelperName = "mount-helper"

// newMountHelperCommand is mount as mount(8) wants it, by way of mount.fuse3:
// "orasfs TARGET MOUNTPOINT -o OPTIONS".
func newMountHelperCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:    mountHelperName + " TARGET MOUNTPOINT [-o OPTIONS]",
		Short:  "Mount for mount(8)",
		Hidden: true,
	}
	addMount(cmd, true)
	return cmd
}

// isMountHelperCall tells whether mount.fuse3 is calling. What has neither a
// dot, a colon nor a slash is rather a mistyped command than a registry.
func isMountHelperCall(root *cobra.Command, args []string) bool {
	if len(args) < 2 || strings.HasPrefix(args[1], "-") {
		return false
	}
	if !strings.ContainsAny(args[0], ".:/") && args[0] != "localhost" && args[0] != everyRegistry {
		return false
	}
	found, _, err := root.Find(args[:1])
	return err == nil && found == root
}

// addMount makes cmd parse the flags and arguments of a mount and do it.
func addMount(cmd *cobra.Command, helper bool) {
	var flags mountFlags
	flags.register(cmd.Flags())
	cmd.Args = mountArgs
	for name, words := range map[string][]string{"verify": flags.verify.words, "view": flags.view.words, "log-format": flags.logFormat.words, "passthrough": flags.passthrough.words} {
		if err := cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
			panic(err) // the flag was registered above
		}
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		report := inheritedReport()
		err := flags.mount(cmd, args, helper, report)
		if err != nil && report != nil {
			report.failed(err)
		}
		return err
	}
}

// mount serves what the command line asks for: as the daemon that owes a
// report, in the foreground, or by starting a daemon.
func (f *mountFlags) mount(cmd *cobra.Command, args []string, helper bool, report *reportPipe) error {
	given := f.secrets
	if report != nil {
		given = readSecrets
	}
	request, err := f.request(cmd, args, helper, given)
	if errors.Is(err, os.ErrNotExist) {
		return err // a layout that isn't there
	}
	if err != nil {
		return usageError{command: "orasfs mount", err: err}
	}
	if err := request.check(cmd.Context()); err != nil {
		return err
	}
	// The first signal ends the mount in order. The default holds again from
	// then on, so that the second one ends the process.
	ctx, stop := signal.NotifyContext(cmd.Context(), endSignals()...)
	defer stop()
	context.AfterFunc(ctx, stop)
	switch {
	case report != nil:
		return request.serveAsDaemon(ctx, report)
	case f.foreground:
		log := newLogger(cmd.ErrOrStderr(), request.logFormat, request.verbose)
		return request.serve(ctx, log, func(string) error { return nil }) // a remark is in the log, too
	default:
		return request.startDaemon(ctx, cmd.ErrOrStderr())
	}
}

// endSignals are the signals that unmount. A hangup ends a mount in the
// foreground with its terminal, but not under nohup(1), which ignores it; what others
// do says reload.go.
func endSignals() []os.Signal {
	signals := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if isTerminals() && !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}

func mountArgs(_ *cobra.Command, args []string) error {
	switch len(args) {
	case 1, 2:
		return nil
	case 0:
		return errors.New("a MOUNTPOINT is needed, and before it a TARGET if it isn't every registry")
	default:
		return fmt.Errorf("a TARGET and a MOUNTPOINT are needed, not %d arguments", len(args))
	}
}

func completeMountArgs(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) < 2 {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}
