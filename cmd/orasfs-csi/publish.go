//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// NodePublishVolume implements csi.NodeServer. It is called again and again for as long
// as a pod runs, with the credentials that hold then.
func (d *driver) NodePublishVolume(ctx context.Context, req *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	v, config, err := d.asked(req)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	release, err := d.targets.take(ctx, v.Target)
	if err != nil {
		return nil, asStatus(fmt.Errorf("another call is busy with %s: %w", v.Target, err))
	}
	defer release()
	if old, ok := d.volumes.at(v.Target); ok {
		if old.ID != v.ID || !reflect.DeepEqual(old.Wants, v.Wants) {
			return nil, status.Errorf(codes.AlreadyExists, "%s is published at %s already, of %s, with other attributes", old.ID, old.Target, old.Wants.Share.Reference)
		}
		v.Source, v.Warmed = old.Source, old.Warmed
	}
	if err := d.publish(ctx, v, config); err != nil {
		return nil, asStatus(err)
	}
	return &csi.NodePublishVolumeResponse{}, nil
}

// asked is the volume that a request is for, and the credentials that it brings.
func (d *driver) asked(req *csi.NodePublishVolumeRequest) (v volume, config []byte, err error) {
	if err := checkNames(req.GetVolumeId(), req.GetTargetPath()); err != nil {
		return v, nil, err
	}
	options, err := readOnly(req)
	if err != nil {
		return v, nil, err
	}
	given := req.GetVolumeContext()
	if v.Wants, err = parseWants(given, req.GetVolumeId(), options, req.GetVolumeCapability().GetMount().GetVolumeMountGroup()); err != nil {
		return v, nil, err
	}
	if config, err = registryConfig(req.GetSecrets()); err != nil {
		return v, nil, err
	}
	if config != nil {
		v.Wants.Share.Namespace = given[podNamespace]
	}
	v.ID, v.Target = req.GetVolumeId(), filepath.Clean(req.GetTargetPath())
	v.Brought = d.secrets.mark(config)
	return v, config, nil
}

// readOnly finds how a volume is to be used that can't be, and returns the mount options
// that it is to have.
func readOnly(req *csi.NodePublishVolumeRequest) (options []string, err error) {
	capability := req.GetVolumeCapability()
	mount := capability.GetMount()
	if mount == nil {
		return nil, errors.New("a volume is a directory: the volume capability has to be a mount")
	}
	switch mode := capability.GetAccessMode().GetMode(); mode {
	case csi.VolumeCapability_AccessMode_SINGLE_NODE_READER_ONLY, csi.VolumeCapability_AccessMode_MULTI_NODE_READER_ONLY:
	default:
		if !req.GetReadonly() {
			return nil, fmt.Errorf("what is in a registry can only be read: set readOnly: true for the volume (its access mode is %s)", mode)
		}
	}
	return mount.GetMountFlags(), nil
}

// publish has a volume served and shown at its target, or finds that it is. If it fails
// nothing is left of it, with two exceptions, from which the next call goes on: what a
// pod has already stays, since a registry that can't be reached for a while is no reason
// to take it away; and so does what is still fetched ahead when ctx ends. The lock of the
// target is held.
func (d *driver) publish(ctx context.Context, v volume, config []byte) error {
	shown, err := mountAt(v.Target)
	if err != nil {
		return err
	}
	release, err := d.choose(ctx, &v, config)
	if err != nil {
		return err
	}
	err = d.serve(ctx, v, config)
	release()
	goesOn := false
	if err == nil {
		err = d.warm(ctx, v)
		goesOn = err != nil && ctx.Err() != nil
	}
	if err == nil {
		err = d.show(ctx, v)
	}
	if err != nil && shown == nil && !goesOn {
		err = errors.Join(err, d.unpublish(context.WithoutCancel(ctx), v))
	}
	return err
}

// choose finds which source is to serve a volume, and takes its lock: the one that does,
// or one for those who have brought the same. A source that was given other credentials
// since isn't that: who comes with those of before may not have what these show.
func (d *driver) choose(ctx context.Context, v *volume, config []byte) (release func(), err error) {
	if v.Source != "" {
		return d.sources.locks.take(ctx, v.Source)
	}
	for n := 0; ; n++ {
		id, err := d.secrets.source(v.Wants.Share, config, n)
		if err != nil {
			return nil, err
		}
		release, err := d.sources.locks.take(ctx, id)
		if err != nil {
			return nil, err
		}
		if !d.secrets.has(id) || d.secrets.hasAs(id, config) {
			v.Source = id
			return release, nil
		}
		release()
	}
}

// serve has a process serve what a volume shows, with the credentials that it brings if
// they are others than those that it brought before. The lock of the source is held.
func (d *driver) serve(ctx context.Context, v volume, config []byte) error {
	old, ok := d.volumes.at(v.Target)
	if config != nil && (v.Brought != old.Brought || !d.secrets.has(v.Source)) {
		if err := d.secrets.set(v.Source, config); err != nil {
			return err
		}
	}
	if !ok || v.Brought != old.Brought {
		if err := d.volumes.note(v); err != nil {
			return err
		}
	}
	return d.ensure(ctx, v)
}

// ensure has the source of a volume serve, as the volume wants it. The lock of the
// source is held.
func (d *driver) ensure(ctx context.Context, v volume) error {
	err := d.sources.ensure(ctx, v.Source, v.Wants.Share)
	if err == nil {
		return nil
	}
	whose := "the node's credentials"
	if v.Brought != "" {
		whose = "the credentials of the volume's secret"
	}
	return fmt.Errorf("mount %s with %s: %w", v.Wants.Share.Reference, whose, err)
}

// warm has what a volume asks for fetched ahead, and waits for it where it has to be
// here before its pod starts.
func (d *driver) warm(ctx context.Context, v volume) error {
	if v.Wants.Warm == warmNone || v.Warmed {
		return nil
	}
	one := d.warmings.start(v.Source, d.sources.warmArgs(v.Source, v.Wants), func() error { return d.warmed(v) })
	if v.Wants.Warm == warmBackground {
		return nil
	}
	if err := one.wait(ctx); err != nil {
		return fmt.Errorf("fetch %s ahead: %w", v.Wants.Share.Reference, err)
	}
	return nil
}

// warmed notes for all volumes that want the same that it is here.
func (d *driver) warmed(v volume) error {
	for _, other := range d.volumes.list() {
		if other.Source != v.Source || !reflect.DeepEqual(other.Wants, v.Wants) {
			continue
		}
		if err := d.volumes.warmed(other.Target); err != nil {
			return err
		}
	}
	return nil
}

// show binds what serves a volume to its target, unless it is there. A process that has
// ended meanwhile (to fetch all ahead takes long) is replaced before, and none is as long
// as show has the lock of the source.
func (d *driver) show(ctx context.Context, v volume) error {
	release, err := d.sources.locks.take(ctx, v.Source)
	if err != nil {
		return err
	}
	defer release()
	if err := d.ensure(ctx, v); err != nil {
		return err
	}
	from, err := mountAt(d.sources.mountpoint(v.Source))
	if err == nil && from == nil {
		err = fmt.Errorf("what serves %s isn't mounted any more", v.Wants.Share.Reference)
	}
	if err != nil {
		return err
	}
	there, err := mountAt(v.Target)
	if err != nil || there != nil && there.Major == from.Major && there.Minor == from.Minor {
		return err
	}
	// What is there is that of a process which has ended. It is covered, not taken away:
	// what is mounted on it comes to containers that have it, what is mounted where it
	// was doesn't.
	return bind(ctx, d.sources.mountpoint(v.Source), v.Wants.SubPath, v.Target)
}

// asStatus is an error as CSI has them. One that nobody knows the end of is told from
// one that has left nothing behind.
func asStatus(err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, err.Error())
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, err.Error())
	}
	return status.Error(codes.Internal, err.Error())
}
