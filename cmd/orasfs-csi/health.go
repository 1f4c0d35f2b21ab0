//go:build linux

package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

// CSI 1.13 has done away with the volume's condition as a part of its statistics, which
// Kubernetes asks for up to 1.36; NodeGetVolumeHealth is in its place. The driver has
// both: here are the numbers that the condition had.
const (
	volumeConditionCapability csi.NodeServiceCapability_RPC_Type = 4

	conditionField         protowire.Number = 2 // of NodeGetVolumeStatsResponse
	conditionAbnormalField protowire.Number = 1 // of VolumeCondition
	conditionMessageField  protowire.Number = 2
)

// A condition is what is wrong with a volume; its zero value is that nothing is.
type condition struct{ reason, message string }

// NodeGetVolumeStats implements csi.NodeServer.
func (d *driver) NodeGetVolumeStats(ctx context.Context, req *csi.NodeGetVolumeStatsRequest) (*csi.NodeGetVolumeStatsResponse, error) {
	v, err := d.published(req.GetVolumeId(), req.GetVolumePath(), true)
	if err != nil {
		return nil, err
	}
	st, c := examine(ctx, v)
	resp := &csi.NodeGetVolumeStatsResponse{}
	if c == (condition{}) {
		resp.Usage = usage(st)
	}
	resp.ProtoReflect().SetUnknown(c.encoded())
	return resp, nil
}

// NodeGetVolumeHealth implements csi.NodeServer.
func (d *driver) NodeGetVolumeHealth(ctx context.Context, req *csi.NodeGetVolumeHealthRequest) (*csi.NodeGetVolumeHealthResponse, error) {
	v, err := d.published(req.GetVolumeId(), req.GetVolumePublishPath(), false)
	if err != nil {
		return nil, err
	}
	health := &csi.VolumeHealth{VolumeId: v.ID}
	if _, c := examine(ctx, v); c != (condition{}) {
		health.HealthStatuses = []*csi.VolumeHealth_VolumeHealthEntry{{Status: csi.VolumeHealthErrorType_INACCESSIBLE, Reason: c.reason, Message: c.message}}
	}
	return &csi.NodeGetVolumeHealthResponse{VolumeHealth: health}, nil
}

// published is the volume at a path, or any of an id where there needn't be a path.
func (d *driver) published(id, path string, needed bool) (volume, error) {
	switch {
	case id == "":
		return volume{}, status.Error(codes.InvalidArgument, "a volume id is needed")
	case path == "" && needed:
		return volume{}, status.Error(codes.InvalidArgument, "a volume path is needed")
	case path == "":
		for _, v := range d.volumes.list() {
			if v.ID == id {
				return v, nil
			}
		}
		return volume{}, status.Errorf(codes.NotFound, "no volume %s is published here", id)
	}
	v, ok := d.volumes.at(filepath.Clean(path))
	if !ok || v.ID != id {
		return volume{}, status.Errorf(codes.NotFound, "no volume %s is published at %s", id, path)
	}
	return v, nil
}

// answersWithin is what a mount gets to say what it holds.
const answersWithin = 2 * time.Second

// examine looks whether a volume can be read, and how large it is.
func examine(ctx context.Context, v volume) (st unix.Statfs_t, c condition) {
	m, err := mountAt(v.Target)
	if m != nil {
		asking, done := context.WithTimeout(ctx, answersWithin)
		defer done()
		st, err = statMount(asking, m)
	}
	switch {
	case m == nil && err == nil:
		return st, condition{"NotMounted", "nothing is mounted at " + v.Target + ": it is when the volume is published next"}
	case errors.Is(err, unix.ENOTCONN):
		return st, condition{"ServingProcessEnded", "the process that served " + v.Wants.Share.Reference + " has ended: running containers see \"transport endpoint is not connected\"; once the volume has been published again, which is tried within minutes, containers that start read it again"}
	case errors.Is(err, errSilent):
		return st, condition{"NotAnswering", "the process that serves " + v.Wants.Share.Reference + " doesn't answer"}
	case err != nil:
		return st, condition{"Unreadable", err.Error()}
	}
	return st, condition{}
}

// usage is what a volume holds. None of it is free: nothing can be written.
func usage(st unix.Statfs_t) []*csi.VolumeUsage {
	bytes := int64(st.Blocks) * st.Bsize //nolint:gosec // far below
	inodes := int64(st.Files)            //nolint:gosec // far below
	return []*csi.VolumeUsage{
		{Unit: csi.VolumeUsage_BYTES, Total: bytes, Used: bytes},
		{Unit: csi.VolumeUsage_INODES, Total: inodes, Used: inodes},
	}
}

// encoded is a condition as a field of NodeGetVolumeStatsResponse.
func (c condition) encoded() []byte {
	var message []byte
	text := "it can be read"
	if c != (condition{}) {
		message = protowire.AppendTag(message, conditionAbnormalField, protowire.VarintType)
		message = protowire.AppendVarint(message, 1)
		text = c.message
	}
	message = protowire.AppendTag(message, conditionMessageField, protowire.BytesType)
	message = protowire.AppendString(message, text)
	field := protowire.AppendTag(nil, conditionField, protowire.BytesType)
	return protowire.AppendBytes(field, message)
}
