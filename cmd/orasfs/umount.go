package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moby/sys/mountinfo"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// umountPatience bounds how long umount waits for a mount to vanish from the
// mount table.
const umountPatience = 10 * time.Second

func newUmountCommand() *cobra.Command {
	var lazy bool
	cmd := &cobra.Command{
		Use:     "umount [-z] MOUNTPOINT",
		Aliases: []string{"unmount"},
		Short:   "Unmount a mount of orasfs",
		Example: `  orasfs umount /mnt/oci
  orasfs umount --lazy /mnt/oci    # although a shell stands in it`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("one MOUNTPOINT is needed, not %d arguments", len(args))
			}
			return nil
		},
		ValidArgsFunction: completeMountpoints,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := applyEnvironment(cmd.Flags()); err != nil {
				return usageError{command: cmd.CommandPath(), err: err}
			}
			return umount(cmd.Context(), args[0], lazy)
		},
	}
	cmd.Flags().BoolVarP(&lazy, "lazy", "z", false, "detach the mount at once, although it is busy")
	return cmd
}

// umount unmounts what is mounted at path, if it is a mount of orasfs, and
// waits until it is gone.
func umount(ctx context.Context, path string, lazy bool) error {
	dir, err := resolveMountpoint(path)
	if err != nil {
		return err
	}
	mount, err := mountAt(dir)
	switch {
	case err != nil:
		return fmt.Errorf("unmount %s: %w", dir, err)
	case mount == nil:
		if removed, err := removeLeftovers(dir); removed || err != nil {
			return err
		}
		return fmt.Errorf("%s is not a mountpoint: nothing to unmount", dir)
	case mount.FSType != fsType:
		return fmt.Errorf("%s is a mount of %s (%s), not of orasfs: use umount", dir, mount.FSType, mount.Source)
	}
	ctx, cancel := context.WithTimeout(ctx, umountPatience)
	defer cancel()
	switch err := unmount(ctx, dir, lazy); {
	case err == nil:
		_, leftovers := removeLeftovers(dir) // of a daemon that has died
		return errors.Join(awaitUnmounted(ctx, mount), leftovers)
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("%s is busy: end what has a file or directory of it open, or detach it with --lazy", dir)
	default:
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
}

// awaitUnmounted waits until a mount isn't in the mount table any more.
func awaitUnmounted(ctx context.Context, mount *mountinfo.Info) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		left, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
			same := m.ID == mount.ID && m.Mountpoint == mount.Mountpoint // the kernel gives an ID away again
			return !same, same
		})
		if err != nil || len(left) == 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("unmount %s: it is still mounted: %w", mount.Mountpoint, ctx.Err())
		}
	}
}

// completeMountpoints offers the mounts of orasfs.
func completeMountpoints(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter(fsType))
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var points []string
	for _, m := range mounts {
		points = append(points, m.Mountpoint)
	}
	return points, cobra.ShellCompDirectiveNoFileComp
}
