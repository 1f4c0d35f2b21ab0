//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// options are what the command line says.
type options struct {
	endpoint, nodeID, runner string
	stateDir                 string
	program                  string
	daemons                  daemonFlags
	verbose                  bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	if err := newCommand().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "orasfs-csi:", err)
		os.Exit(1) //nolint:gocritic // nothing is left that stop would do
	}
}

func newCommand() *cobra.Command {
	o := new(options)
	cmd := &cobra.Command{
		Use:           "orasfs-csi --endpoint unix://PATH --node-id NAME [flags]",
		Short:         "Show artifacts of OCI registries as Kubernetes volumes",
		Args:          cobra.NoArgs,
		Version:       buildVersion(),
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&o.endpoint, "endpoint", "unix:///csi/csi.sock", "answer calls at the socket `unix://PATH`")
	flags.StringVar(&o.nodeID, "node-id", "", "the node's `NAME` in Kubernetes")
	flags.StringVar(&o.runner, "runner", runnerChild, "who runs the processes that serve volumes: systemd, on the node, or child, this process")
	flags.StringVar(&o.stateDir, "state-dir", "/var/lib/orasfs-csi", "keep what has to outlive the driver in `DIR`, which is at the same path on the node")
	flags.StringVar(&o.daemons.cacheDir, "cache-dir", "/var/cache/orasfs-csi", "the cache of all volumes, in `DIR`, which is at the same path on the node")
	flags.StringVar(&o.program, "orasfs", "", "run `PROGRAM`, at the same path on the node (default orasfs beside this one, or on PATH)")
	flags.StringVar(&o.daemons.cacheSize, "cache-size", "10GiB", "bound the cache to `SIZE`")
	flags.StringVar(&o.daemons.memory, "memory", "64MiB", "bound what each process keeps in memory to `SIZE`")
	flags.DurationVar(&o.daemons.timeout, "timeout", 30*time.Second, "give up on a registry after this long")
	flags.StringVar(&o.daemons.hostsDir, "hosts-dir", "", "ask mirrors before a registry, as containerd's hosts.toml in `DIR` says (default containerd's)")
	flags.StringVar(&o.daemons.registryConfig, "registry-config", "", "credentials `FILE` of the node, for volumes that bring no secret (default root's)")
	flags.StringVar(&o.daemons.caFile, "ca-file", "", "trust the certificate authorities in `FILE` (PEM) too")
	flags.StringVar(&o.daemons.verifierDir, "verifier-dir", "", "show only what the programs in `DIR` allow")
	flags.StringArrayVar(&o.daemons.verifyKeys, "verify-key", nil, "show only what the public key in `FILE` has signed; can be repeated")
	flags.BoolVarP(&o.verbose, "verbose", "v", false, "log every call")
	return cmd
}

// The values of --runner.
const (
	runnerChild   = "child"
	runnerSystemd = "systemd"
)

// run is the driver until ctx ends.
func (o *options) run(ctx context.Context) (err error) {
	if err := o.settle(); err != nil {
		return err
	}
	level := slog.LevelInfo
	if o.verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	r, err := o.newRunner(ctx)
	if err != nil {
		return err
	}
	d, err := openDriver(ctx, o, r, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	l, err := listen(ctx, o.endpoint)
	if err != nil {
		return err
	}
	log.Info("answering calls", "endpoint", o.endpoint, "node", o.nodeID, "runner", o.runner, "volumes", len(d.volumes.list()))
	return d.serveCalls(ctx, l)
}

// settle checks the command line, and completes it.
func (o *options) settle() error {
	switch {
	case o.nodeID == "":
		return errors.New("--node-id is needed: the node's name")
	case o.runner != runnerChild && o.runner != runnerSystemd:
		return fmt.Errorf("--runner %s: it is %s or %s", o.runner, runnerSystemd, runnerChild)
	case os.Geteuid() != 0:
		return errors.New("only root can mount for pods")
	}
	if o.program == "" {
		var err error
		if o.program, err = findProgram(); err != nil {
			return err
		}
	}
	for _, path := range []*string{&o.stateDir, &o.daemons.cacheDir, &o.program} {
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return err
		}
		*path = absolute
	}
	return nil
}

// findProgram is the orasfs beside this program, or on PATH.
func findProgram() (string, error) {
	const name = "orasfs"
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), name)
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() {
			return beside, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("orasfs is neither beside this program nor on PATH: say where with --orasfs: %w", err)
	}
	return path, nil
}

// newRunner is what runs processes.
func (o *options) newRunner(ctx context.Context) (runner, error) {
	if o.runner == runnerChild {
		return &childRunner{program: o.program, environment: o.environment(), dir: o.stateDir}, nil
	}
	program, err := install(o.program, filepath.Join(o.stateDir, "bin"))
	if err != nil {
		return nil, err
	}
	return newSystemdRunner(ctx, program, o.environment(), filepath.Join(o.stateDir, "words"))
}

// mountDir has the mountpoints of what serves volumes.
func (o *options) mountDir() string { return filepath.Join(o.stateDir, "mounts") }

// runtimeDir has their sockets: XDG_RUNTIME_DIR=DIR orasfs status shows them.
func (o *options) runtimeDir() string { return filepath.Join(o.stateDir, "run") }

// environment is that of all processes, whoever runs them.
func (o *options) environment() []string {
	environment := []string{"XDG_RUNTIME_DIR=" + o.runtimeDir(), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	for _, name := range []string{"HOME", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if value, ok := os.LookupEnv(name); ok {
			environment = append(environment, name+"="+value)
		}
	}
	return environment
}
