//go:build linux

// Command bench measures orasfs beside the programs that people would use
// instead. scripts/bench installs what it needs and starts it; README.md says
// what each row is.
//
// Everything that is compared is measured in one run, by turns, because
// machines are noisy: read the ratios. A cold run has a new cache and a new
// mount; the registry's files are in the kernel's memory for all.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// A figure is what is measured by turns in one run, and the rows of the table
// that come of it.
type figure struct {
	name string // as -rows takes it
	rows []row
	// prepare makes what the steps need. It lies in the workplace, and goes
	// with it.
	prepare func(context.Context, *workplace) ([]step, error)
}

// A step does one thing once and gives what it measured, by name: seconds,
// or bytes.
type step func(context.Context) (results, error)

type results map[string]float64

func (r results) String() string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(r)) {
		words = append(words, fmt.Sprintf("%s %.4g", name, r[name]))
	}
	return strings.Join(words, ", ")
}

// figures are all there are, in the table's order.
var figures = []figure{
	openFigure, slowFigure, loopbackFigure, shareFigure, connectionsFigure, evictionFigure,
	diskFigure, hugeFigure, mmapFigure, readersFigure, tagsFigure, imageFigure, memoryFigure, listingFigure, namesFigure, exportFigure, estargzFigure, zstdChunkedFigure, warmFigure, warmingFigure, volumeFigure,
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == readerCommand {
		if err := reader(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench read:", err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) == 4 && os.Args[1] == plainFuseCommand {
		if err := servePlainFuse(os.Args[2], os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, "bench fuse:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	layer := flag.String("layer", "", "a `file`, .tar.gz, the one layer of the image")
	tools := flag.String("tools", "", "the `directory` of registry, toxiproxy, oras and crane")
	names := flag.String("rows", "", "measure these rows only: `2,12,image`")
	runs := flag.Int("runs", 5, "how often everything is measured, after a run that doesn't count")
	scale := flag.Float64("scale", 1, "make everything smaller by this `factor`, to try the program itself")
	flag.Parse()
	wanted, err := choose(*names)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return bench(ctx, &workplace{tools: *tools, layer: *layer, scale: *scale}, wanted, *runs)
}

// choose gives the figures that are named, or all.
func choose(names string) ([]figure, error) {
	if names == "" {
		return figures, nil
	}
	var chosen []figure
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(figures, func(f figure) bool { return f.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no row %q", name)
		}
		chosen = append(chosen, figures[i])
	}
	return chosen, nil
}

// bench measures, and prints the table of what was measured. A figure that
// fails costs only its own rows.
func bench(ctx context.Context, w *workplace, wanted []figure, runs int) (err error) {
	if err := w.open(ctx); err != nil {
		return errors.Join(err, w.close())
	}
	defer func() { err = errors.Join(err, w.close()) }()
	t := newTable(os.Stdout, runs, w.scale)
	for _, f := range wanted {
		measured, failed := f.measure(ctx, w, runs)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if failed != nil {
			failed = fmt.Errorf("row %s: %w", f.name, failed)
			fmt.Fprintln(os.Stderr, failed)
			err = errors.Join(err, failed)
			continue
		}
		t.add(f, measured)
	}
	return err
}

// measure gives what was measured in each run.
func (f *figure) measure(ctx context.Context, w *workplace, runs int) ([]results, error) {
	steps, err := f.prepare(ctx, w)
	if err != nil {
		return nil, err
	}
	var counted []results
	for run := range runs + 1 { // the first warms the machine up
		measured, err := all(ctx, steps...)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(os.Stderr, "row %s, run %d: %v\n", f.name, run, measured)
		if run > 0 {
			counted = append(counted, measured)
		}
	}
	return counted, nil
}

// all does steps one after the other.
func all(ctx context.Context, steps ...step) (results, error) {
	measured := results{}
	for _, step := range steps {
		syscall.Sync() // what was written before isn't on the step's account
		some, err := step(ctx)
		if err != nil {
			return nil, err
		}
		maps.Copy(measured, some)
	}
	return measured, nil
}
