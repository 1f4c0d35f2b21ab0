// Command bench times the root file system of an image against a pull of it.
// scripts/bench makes the image and starts this.
//
// Everything that is compared is timed in one run, by turns, because machines
// are noisy: read the ratios. A cold run has a new cache and a new mount, which
// is part of its time; the registry's files are in memory for all.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	layer := flag.String("layer", "", "a `file`, .tar.gz, the one layer of the image")
	tools := flag.String("tools", "", "the `directory` of registry and crane")
	runs := flag.Int("runs", 5, "how often everything is timed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return bench(ctx, *layer, *tools, *runs)
}

// A workplace is where everything happens: the programs, and a directory that
// goes in the end.
type workplace struct {
	dir    string
	tools  string
	orasfs string
	host   string // of the registry
}

// repository and tag of the image.
const repository, tag = "library/debian", "12"

func bench(ctx context.Context, layer, tools string, runs int) (err error) {
	dir, err := os.MkdirTemp("", "orasfs-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	w := &workplace{dir: dir, tools: tools, orasfs: filepath.Join(dir, "orasfs")}
	if err := w.run(ctx, "go", "build", "-buildvcs=false", "-o", w.orasfs, "github.com/orasfs/orasfs/cmd/orasfs"); err != nil {
		return err
	}
	stop, err := w.startRegistry(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if err := w.run(ctx, w.crane(), "append", "--oci-empty-base", "-f", layer, "-t", w.reference()); err != nil {
		return err
	}
	if err := w.run(ctx, w.crane(), "mutate", "--set-platform", "linux/amd64", "-t", w.reference(), w.reference()); err != nil {
		return err
	}
	if err := w.check(ctx); err != nil {
		return err
	}
	times, err := w.measure(ctx, runs)
	if err != nil {
		return err
	}
	return print(times, layer, runs)
}

func (w *workplace) crane() string     { return filepath.Join(w.tools, "crane") }
func (w *workplace) reference() string { return w.host + "/" + repository + ":" + tag }

// run runs a command to its end; what it prints is shown if it fails.
func (w *workplace) run(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // our own
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+w.dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}

const registryConfig = `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: %q}}
http: {addr: %q}
`

// startRegistry starts an empty registry and waits until it answers.
func (w *workplace) startRegistry(ctx context.Context) (stop func(), err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w.host = fmt.Sprintf("localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	if err := listener.Close(); err != nil {
		return nil, err
	}
	config := filepath.Join(w.dir, "registry.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, registryConfig, filepath.Join(w.dir, "registry"), listener.Addr()), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(w.tools, "registry"), "serve", config) //nolint:gosec // our own
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		_ = cmd.Process.Kill() // it holds nothing that is worth saving
		_ = cmd.Wait()
	}
	for range 100 {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.host+"/v2/", nil)
		if err != nil {
			break
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			return stop, response.Body.Close()
		}
		time.Sleep(100 * time.Millisecond)
	}
	stop()
	return nil, errors.New("the registry doesn't answer")
}

// check compares the root file system with what umoci unpacks of the image, by
// the tar that GNU tar makes of both, and runs a shell of the image in it.
func (w *workplace) check(ctx context.Context) (err error) {
	layout, bundle := filepath.Join(w.dir, "layout"), filepath.Join(w.dir, "bundle")
	defer func() { err = errors.Join(err, os.RemoveAll(layout), os.RemoveAll(bundle)) }()
	if err := w.run(ctx, filepath.Join(w.tools, "oras"), "cp", "--to-oci-layout", w.reference(), layout+":"+tag); err != nil {
		return err
	}
	if err := w.run(ctx, "umoci", "unpack", "--image", layout+":"+tag, bundle); err != nil {
		return err
	}
	_, err = w.mounted(ctx, `
		sum() { tar --sort=name --format=gnu --numeric-owner -cf - -C "$1" rootfs | sha256sum; }
		[ "$(sum "$3")" = "$(sum "$5")" ] || { echo "the trees differ"; exit 1; }
		chroot "$3/rootfs" /bin/sh -c '. /etc/os-release && [ "$ID" = debian ] && [ "$(ls /usr/bin | wc -l)" -gt 100 ]'
	`, "", bundle)
	if err == nil {
		fmt.Println("the tree is what umoci unpacks, and its shell runs in it")
	}
	return err
}

// The measurements: what is done, and the most it should take compared with
// the pull.
var rows = []struct {
	name, command string
	most          float64
}{
	{"pull", "crane export REF - | tar x -C DIR", 1},
	{"first file", "orasfs mount …; cat rootfs/etc/os-release", 1.0},
	{"all, cold", "orasfs mount …; tar cf - rootfs | wc -c", 2.0},
	{"all, warm", "tar cf - rootfs | wc -c", 0.8},
}

// measure gives the times of each row, by runs.
func (w *workplace) measure(ctx context.Context, runs int) ([][]time.Duration, error) {
	times := make([][]time.Duration, len(rows))
	for run := -1; run < runs; run++ { // the first warms the machine up
		var all []time.Duration
		for _, step := range []func(context.Context) ([]time.Duration, error){w.pull, w.firstFile, w.everything} {
			took, err := step(ctx)
			if err != nil {
				return nil, err
			}
			all = append(all, took...)
		}
		fmt.Printf("run %d: %v\n", run+1, all)
		for i := range rows {
			if run >= 0 {
				times[i] = append(times[i], all[i])
			}
		}
	}
	return times, nil
}

// shell times a script. What was written before it isn't on its account.
func (w *workplace) shell(ctx context.Context, script string, args ...string) (time.Duration, error) {
	if err := w.run(ctx, "sync"); err != nil {
		return 0, err
	}
	began := time.Now()
	err := w.run(ctx, "bash", append([]string{"-euo", "pipefail", "-c", script}, args...)...)
	return time.Since(began), err
}

func (w *workplace) pull(ctx context.Context) (took []time.Duration, err error) {
	dir := filepath.Join(w.dir, "pulled")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	t, err := w.shell(ctx, `"$0" export "$1" - | tar x -C "$2"`, w.crane(), w.reference(), dir)
	return []time.Duration{t}, err
}

func (w *workplace) firstFile(ctx context.Context) ([]time.Duration, error) {
	return w.mounted(ctx, `cat "$3/rootfs/etc/os-release"`, "")
}

func (w *workplace) everything(ctx context.Context) ([]time.Duration, error) {
	const all = `tar cf - -C "$3" rootfs | wc -c`
	return w.mounted(ctx, all, all)
}

// mounted mounts with an empty cache and times a script with that, and another
// one after it, unless that is empty. $3 of both is the image's directory, and
// from $5 on are further arguments.
func (w *workplace) mounted(ctx context.Context, cold, warm string, args ...string) (took []time.Duration, err error) {
	dir, cache := filepath.Join(w.dir, "mount"), filepath.Join(w.dir, "cache")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	image := filepath.Join(dir, repository+":"+tag) + "/"
	defer func() {
		// Whatever has happened, nothing may stay mounted.
		unmounted := w.run(context.WithoutCancel(ctx), w.orasfs, "umount", dir)
		err = errors.Join(err, unmounted, os.Remove(dir), os.RemoveAll(cache))
	}()
	t, err := w.shell(ctx, `"$0" mount --cache-dir "$1" "$4" "$2"; `+cold, append([]string{w.orasfs, cache, dir, image, w.host}, args...)...)
	if err != nil || warm == "" {
		return []time.Duration{t}, err
	}
	again, err := w.shell(ctx, warm, w.orasfs, cache, dir, image)
	return []time.Duration{t, again}, err
}

// print shows medians, and the ratio of those of each run to the pull of the
// same run.
func print(times [][]time.Duration, layer string, runs int) error {
	info, err := os.Stat(layer)
	if err != nil {
		return err
	}
	fmt.Printf("\none gzip layer of %d MB, medians of %d runs\n\n", info.Size()/1e6, runs)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "\tseconds\tratio\tat most\t")
	for i, row := range rows {
		var seconds, ratios []float64
		for run, t := range times[i] {
			seconds = append(seconds, t.Seconds())
			ratios = append(ratios, t.Seconds()/times[0][run].Seconds())
		}
		_, _ = fmt.Fprintf(table, "%s\t%.2f\t%.2f\t%.1f\t%s\n", row.name, median(seconds), median(ratios), row.most, row.command)
	}
	return table.Flush()
}

func median(values []float64) float64 {
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}
