//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// NodeUnpublishVolume implements csi.NodeServer. What isn't published is unpublished
// already.
func (d *driver) NodeUnpublishVolume(ctx context.Context, req *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	if err := checkNames(req.GetVolumeId(), req.GetTargetPath()); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	target := filepath.Clean(req.GetTargetPath())
	release, err := d.targets.take(ctx, target)
	if err != nil {
		return nil, asStatus(fmt.Errorf("another call is busy with %s: %w", target, err))
	}
	defer release()
	v, ok := d.volumes.at(target)
	switch {
	case ok && v.ID != req.GetVolumeId():
		return nil, status.Errorf(codes.InvalidArgument, "at %s is %s, not %s", target, v.ID, req.GetVolumeId())
	case ok:
		err = d.unpublish(ctx, v)
	default: // what a driver has shown whose notes are lost
		err = removeMount(target)
	}
	if err != nil {
		return nil, asStatus(fmt.Errorf("unpublish %s: %w", req.GetVolumeId(), err))
	}
	return &csi.NodeUnpublishVolumeResponse{}, nil
}

// unpublish takes a volume away, and what served it unless others need that. If it fails
// the volume is still noted, for the next call. The lock of the target is held.
func (d *driver) unpublish(ctx context.Context, v volume) error {
	ctx, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	if err := unmountAll(v.Target); err != nil {
		return err
	}
	release, err := d.sources.locks.take(ctx, v.Source)
	if err != nil {
		return err
	}
	defer release()
	if !d.volumes.uses(v.Source, v.Target) {
		d.warmings.end(v.Source)
		if err := d.sources.remove(ctx, v.Source); err != nil {
			return err
		}
	}
	if err := d.volumes.forget(v.Target); err != nil {
		return err
	}
	return removeDir(v.Target)
}

// checkNames finds what is missing in a request.
func checkNames(id, target string) error {
	switch {
	case id == "":
		return errors.New("a volume id is needed")
	case target == "":
		return errors.New("a target path is needed")
	case !filepath.IsAbs(target) || filepath.Clean(target) == "/":
		return fmt.Errorf("target path %q isn't the absolute path of a volume", target)
	}
	return nil
}
