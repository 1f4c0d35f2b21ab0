//go:build linux

package csi

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// TestSanity has csi-sanity go through all that CSI asks of a node plugin. It makes its
// volumes by a controller, which the driver doesn't have, and publishes them to be
// written: so between them is what is there in Kubernetes too, who pushes artifacts, and
// kubelet, which says readOnly as the volume does.
func TestSanity(t *testing.T) {
	t.Parallel()
	program := tool(t, "csi-sanity")
	fake, host := serve(t)
	n := newNode(t)
	between := &kubelet{n: n, identity: csi.NewIdentityClient(n.conn), fake: fake, host: host, volumes: make(map[string]string)}
	server := grpc.NewServer()
	csi.RegisterIdentityServer(server, between)
	csi.RegisterControllerServer(server, &pusher{kubelet: between})
	csi.RegisterNodeServer(server, between)
	socket := n.path("kubelet.sock")
	l, err := net.Listen("unix", socket) //nolint:noctx // at once
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	//nolint:gosec // what scripts/test has installed
	cmd := exec.CommandContext(ctx, program, "--csi.endpoint="+socket, "--csi.mountdir="+n.path("pods/sanity"), "--csi.stagingdir="+n.path("staging"),
		"--csi.checkpathcmd="+n.checkPath(), "--ginkgo.no-color", "--ginkgo.v")
	output, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("csi-sanity: %v\n%s", err, output)
	}
	// A test that was left out says why: what the driver doesn't have.
	published := between.published
	if strings.Contains(string(output), "Ran 0 of") || published == 0 {
		t.Errorf("csi-sanity published %d volumes:\n%s", published, output)
	}
	for line := range strings.SplitSeq(string(output), "\n") {
		if strings.HasPrefix(line, "Ran ") || strings.Contains(line, " Passed ") {
			t.Log(line)
		}
	}
	n.mustBeEmpty()
}

// checkPath is a program that says what is at a path, as csi-sanity wants it said.
func (n *node) checkPath() string {
	n.t.Helper()
	path := n.write("check-path", "#!/bin/sh\nif [ -d \"$1\" ]; then echo directory; elif [ -f \"$1\" ]; then echo file; elif [ -e \"$1\" ]; then echo other; else echo not_found; fi\n")
	if err := exec.Command("chmod", "755", path).Run(); err != nil { //nolint:noctx // at once
		n.t.Fatal(err)
	}
	return path
}

// A kubelet passes on calls to a node's driver.
type kubelet struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedNodeServer
	n        *node
	identity csi.IdentityClient
	fake     *fakeregistry.Registry
	host     string

	mu        sync.Mutex        // guards everything below
	volumes   map[string]string // id by name
	published int
}

func (k *kubelet) GetPluginInfo(ctx context.Context, req *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return k.identity.GetPluginInfo(ctx, req)
}

func (k *kubelet) Probe(ctx context.Context, req *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return k.identity.Probe(ctx, req)
}

func (k *kubelet) GetPluginCapabilities(ctx context.Context, req *csi.GetPluginCapabilitiesRequest) (*csi.GetPluginCapabilitiesResponse, error) {
	resp, err := k.identity.GetPluginCapabilities(ctx, req)
	if err != nil {
		return nil, err
	}
	resp.Capabilities = append(resp.Capabilities, &csi.PluginCapability{Type: &csi.PluginCapability_Service_{
		Service: &csi.PluginCapability_Service{Type: csi.PluginCapability_Service_CONTROLLER_SERVICE},
	}})
	return resp, nil
}

func (k *kubelet) NodePublishVolume(ctx context.Context, req *csi.NodePublishVolumeRequest) (*csi.NodePublishVolumeResponse, error) {
	req.Readonly = true
	resp, err := k.n.NodePublishVolume(ctx, req)
	if err == nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.published++
	}
	return resp, err
}

func (k *kubelet) NodeUnpublishVolume(ctx context.Context, req *csi.NodeUnpublishVolumeRequest) (*csi.NodeUnpublishVolumeResponse, error) {
	return k.n.NodeUnpublishVolume(ctx, req)
}

func (k *kubelet) NodeGetVolumeStats(ctx context.Context, req *csi.NodeGetVolumeStatsRequest) (*csi.NodeGetVolumeStatsResponse, error) {
	return k.n.NodeGetVolumeStats(ctx, req)
}

func (k *kubelet) NodeGetVolumeHealth(ctx context.Context, req *csi.NodeGetVolumeHealthRequest) (*csi.NodeGetVolumeHealthResponse, error) {
	return k.n.NodeGetVolumeHealth(ctx, req)
}

func (k *kubelet) NodeGetCapabilities(ctx context.Context, req *csi.NodeGetCapabilitiesRequest) (*csi.NodeGetCapabilitiesResponse, error) {
	return k.n.NodeGetCapabilities(ctx, req)
}

func (k *kubelet) NodeGetInfo(ctx context.Context, req *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return k.n.NodeGetInfo(ctx, req)
}

// A pusher makes volumes: an artifact for each name.
type pusher struct {
	csi.UnimplementedControllerServer
	*kubelet
}

func (p *pusher) ControllerGetCapabilities(context.Context, *csi.ControllerGetCapabilitiesRequest) (*csi.ControllerGetCapabilitiesResponse, error) {
	return &csi.ControllerGetCapabilitiesResponse{Capabilities: []*csi.ControllerServiceCapability{{Type: &csi.ControllerServiceCapability_Rpc{
		Rpc: &csi.ControllerServiceCapability_RPC{Type: csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME},
	}}}}, nil
}

func (p *pusher) CreateVolume(_ context.Context, req *csi.CreateVolumeRequest) (*csi.CreateVolumeResponse, error) {
	if req.GetName() == "" || len(req.GetVolumeCapabilities()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "a name and a capability are needed")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	id, ok := p.volumes[req.GetName()]
	if !ok {
		repo := fmt.Sprintf("org/volume-%d", len(p.volumes))
		push(p.fake, repo, "v1", "file", req.GetName())
		id = p.host + "/" + repo + ":v1"
		p.volumes[req.GetName()] = id
	}
	return &csi.CreateVolumeResponse{Volume: &csi.Volume{VolumeId: id, VolumeContext: map[string]string{"storage.kubernetes.io/csiProvisionerIdentity": "test"}}}, nil
}

func (p *pusher) DeleteVolume(_ context.Context, req *csi.DeleteVolumeRequest) (*csi.DeleteVolumeResponse, error) {
	if req.GetVolumeId() == "" {
		return nil, status.Error(codes.InvalidArgument, "a volume id is needed")
	}
	return &csi.DeleteVolumeResponse{}, nil
}

func (p *pusher) ValidateVolumeCapabilities(_ context.Context, req *csi.ValidateVolumeCapabilitiesRequest) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	if req.GetVolumeId() == "" || len(req.GetVolumeCapabilities()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "a volume id and a capability are needed")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range p.volumes {
		if id == req.GetVolumeId() {
			return &csi.ValidateVolumeCapabilitiesResponse{Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{VolumeCapabilities: req.GetVolumeCapabilities()}}, nil
		}
	}
	return nil, status.Errorf(codes.NotFound, "no volume %s", req.GetVolumeId())
}
