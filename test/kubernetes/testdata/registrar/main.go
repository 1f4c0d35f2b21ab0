// Registrar tells kubelet of a CSI driver on the same machine, as the sidecar
// node-driver-registrar does in a cluster: it serves the socket that kubelet looks for,
// and names the driver's own there. It runs until it is killed, or kubelet refuses the
// driver.
//
//	registrar DRIVER DRIVER.SOCK REGISTRATION.SOCK
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"google.golang.org/grpc"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// A registrar is asked for the driver, and told what kubelet made of it.
type registrar struct {
	registration.UnimplementedRegistrationServer
	driver, endpoint string
	refused          chan error
}

func (r *registrar) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type:              registration.CSIPlugin,
		Name:              r.driver,
		Endpoint:          r.endpoint,
		SupportedVersions: []string{"1.0.0"},
	}, nil
}

func (r *registrar) NotifyRegistrationStatus(_ context.Context, status *registration.RegistrationStatus) (*registration.RegistrationStatusResponse, error) {
	if status.PluginRegistered {
		fmt.Println("kubelet took", r.driver)
	} else {
		r.refused <- errors.New("kubelet refuses " + r.driver + ": " + status.Error)
	}
	return &registration.RegistrationStatusResponse{}, nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "registrar:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 4 {
		return errors.New("usage: registrar DRIVER DRIVER.SOCK REGISTRATION.SOCK")
	}
	socket := os.Args[3]
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	r := &registrar{driver: os.Args[1], endpoint: os.Args[2], refused: make(chan error, 1)}
	server := grpc.NewServer()
	registration.RegisterRegistrationServer(server, r)
	go func() { r.refused <- server.Serve(listener) }()
	return <-r.refused
}
