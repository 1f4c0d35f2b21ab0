package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/orasfs/orasfs/cache"
	"github.com/orasfs/orasfs/fs"
	"github.com/orasfs/orasfs/resolver"
)

// warmFlags are the flags of warm.
type warmFlags struct {
	registryFlags
	contentFlags
	signedFlags
	globs

	everyPlatform, check, quiet, verbose bool
	format                               choice
}

func newWarmCommand() *cobra.Command {
	var flags warmFlags
	cmd := &cobra.Command{
		Use:   "warm [flags] TARGET[/PATH]...",
		Short: "Fetch content into the cache ahead of use",
		Long: `Fetch artifacts into the cache directory, verified, so that mounts read them from
there; one that is running sees them at once. A TARGET is HOST/NAME:TAG or
HOST/NAME@DIGEST, and a PATH is below its directory in a mount: files, rootfs,
layers, platforms/OS-ARCH, the config, and what is in them. Of an image it is also
found out what is in its layers. What was fetched stays if it is interrupted, and
isn't fetched again. The exit code is 1 if something can't be had; the rest is there.

A pattern of --include and --exclude is for paths in files/ and in rootfs/, or for
names if it has no slash; ** are any directories, and a directory is all that is in
it, which one with a slash at its end is for alone. In files/ an archive that is
unpacked there is one thing. Of a layer that is compressed as a whole it takes all to
find out what is in it.`,
		Example: `  orasfs warm ghcr.io/org/model:v1
  orasfs warm ghcr.io/org/model:v1 --include '*.json' --include tokenizer
  orasfs warm registry.example.com/app:v2/rootfs/usr/lib
  orasfs warm --check --format json ghcr.io/org/app:v2`,
		ValidArgsFunction: cobra.NoFileCompletions,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("a TARGET is needed: HOST/NAME:TAG or HOST/NAME@DIGEST")
			}
			return nil
		},
	}
	set := cmd.Flags()
	set.SortFlags = false
	set.StringArrayVar(&flags.include, "include", nil, "fetch what `PATTERN` matches alone; can be repeated")
	set.StringArrayVar(&flags.exclude, "exclude", nil, "leave out what `PATTERN` matches; can be repeated")
	set.BoolVar(&flags.everyPlatform, "all-platforms", false, "fetch what is for every platform, not for --platform alone")
	set.BoolVar(&flags.check, "check", false, "say what is here, and fetch nothing but manifests and configs")
	set.BoolVarP(&flags.quiet, "quiet", "q", false, "show no progress")
	flags.format = formatFlag()
	set.Var(&flags.format, "format", "how to print: text or json")
	flags.registryFlags.register(set)
	flags.contentFlags.register(set)
	flags.signedFlags.register(set)
	set.BoolVarP(&flags.verbose, "verbose", "v", false, "log to standard error")
	if err := cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(flags.format.words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag was registered above
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		w, err := flags.warming(cmd, args)
		if err != nil {
			return usageError{command: cmd.CommandPath(), err: err}
		}
		if err := checkCacheDir(w.content.Dir, ""); err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), endSignals()...)
		defer stop()
		context.AfterFunc(ctx, stop) // a second signal ends it at once
		return w.run(ctx, cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	return cmd
}

// A warming is what the command line asks for.
type warming struct {
	choices  []fs.Choice
	texts    []string // as they were given
	registry resolver.Options
	content  cache.Options
	flags    *warmFlags
}

// warming turns the command line into what to fetch.
func (f *warmFlags) warming(cmd *cobra.Command, args []string) (*warming, error) {
	if err := applyEnvironment(cmd.Flags()); err != nil {
		return nil, err
	}
	if err := cmp.Or(f.registryFlags.check(), f.contentFlags.check(), f.signedFlags.check(), f.globs.check(), absoluteEnvironment(), makeAbsolute(slices.Concat(f.registryFlags.paths(), f.signedFlags.paths(), []*string{&f.cacheDir})...)); err != nil {
		return nil, err
	}
	w := &warming{texts: args, content: f.cacheOptions(&f.registryFlags), flags: f}
	for _, arg := range args {
		choice, err := parseChoice(arg)
		if err != nil {
			return nil, err
		}
		choice.EveryPlatform, choice.Wanted = f.everyPlatform, f.wanted()
		w.choices = append(w.choices, choice)
	}
	secrets, err := f.secrets(cmd.InOrStdin())
	if err != nil {
		return nil, err
	}
	if w.registry, err = f.registryOptions(cmd.Flags(), secrets); err != nil {
		return nil, err
	}
	for _, c := range w.choices {
		if c.Host == w.choices[0].Host {
			continue
		}
		if err := forOne(w.registry, "give TARGETs of one"); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// parseChoice reads HOST/NAME:TAG[/PATH] or HOST/NAME@DIGEST[/PATH].
func parseChoice(text string) (fs.Choice, error) {
	host, rest, _ := strings.Cut(text, "/")
	i := strings.IndexAny(rest, ":@")
	if i < 0 {
		if _, err := resolver.ParseTarget(text); err != nil {
			return fs.Choice{}, err
		}
		return fs.Choice{}, fmt.Errorf("%s has no tag and no digest: give HOST/NAME:TAG or HOST/NAME@DIGEST", text)
	}
	reference, path, _ := strings.Cut(rest[i:], "/")
	target, err := resolver.ParseTarget(host + "/" + rest[:i] + reference)
	return fs.Choice{Target: target, Path: path}, err
}

// run fetches, or looks, and prints what there is to be told.
func (w *warming) run(ctx context.Context, stdout, stderr io.Writer) (err error) {
	limitMemory(w.content)
	log := slog.New(slog.DiscardHandler)
	if w.flags.verbose {
		log = newLogger(stderr, "text", true)
	}
	w.registry.Log, w.content.Log, w.content.WaitForDisk = log, log, true
	content, err := cache.Open(w.content)
	if err != nil {
		return fmt.Errorf("%w: choose another directory with --cache-dir", err)
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	room := content.Room()
	if room == 0 && !w.flags.check {
		return fmt.Errorf("nothing can be written to the cache directory %s, or its disk is full: choose another with --cache-dir", w.content.Dir)
	}
	verifier, err := w.flags.verifier(log)
	if err != nil {
		return err
	}
	request := mountRequest{registry: w.registry}
	contents := fs.OpenContents(ctx, fs.Options{
		Connect: request.connect, Cache: content, Platform: w.flags.platform.Platform,
		Timeout: w.registry.Timeout, Memory: w.content.Memory, Log: log, Verifier: verifier,
	})
	defer contents.Close()
	report := newWarmReport(w.flags, stdout, stderr)
	all := w.parts(ctx, contents, report)
	if w.flags.check {
		return report.done(ctx, all)
	}
	if size := sizeOf(all); size > room {
		return fmt.Errorf("what is wanted are %s and there is room for %s: raise --cache-size, here and where it is mounted, or make room on the disk",
			humanBytes(size), humanBytes(room))
	}
	report.fetch(ctx, all)
	if gone := goneOf(ctx, all); len(gone) > 0 { // others that were used as long ago may go for them now
		report.fetch(ctx, gone)
	}
	return report.done(ctx, all)
}

// parts are those of all TARGETs. What can't be had the report is told.
func (w *warming) parts(ctx context.Context, contents *fs.Contents, report *warmReport) (all []*warmPart) {
	for i, c := range w.choices {
		finding := report.bars.add(w.texts[i]+": what is in it", 0) // of an image it may take all of a layer
		parts, failed := contents.Parts(ctx, c, w.flags.check)
		finding.drop()
		if ctx.Err() != nil {
			return all
		}
		for _, p := range parts {
			all = append(all, &warmPart{Part: p, reference: w.texts[i]})
		}
		request := mountRequest{registry: w.registry, target: target{Target: c.Target, text: strings.TrimSuffix(w.texts[i], "/"+c.Path)}}
		for _, err := range failed {
			if !errors.Is(err, fs.ErrPath) {
				err = request.explain(err)
			}
			report.fail(w.texts[i], err)
		}
	}
	return all
}

// goneOf are the parts that were fetched and aren't here any more: what was here from the
// start may have made room for the others.
func goneOf(ctx context.Context, all []*warmPart) (gone []*warmPart) {
	for _, p := range all {
		if here, err := p.Here(ctx); p.err == nil && err == nil && here < p.Size {
			gone = append(gone, p)
		}
	}
	return gone
}

// sizeOf is how many bytes parts have together, each blob once.
func sizeOf(all []*warmPart) (size int64) {
	most := map[digest.Digest]int64{}
	for _, p := range all {
		size += max(0, p.Size-most[p.Digest])
		most[p.Digest] = max(most[p.Digest], p.Size)
	}
	return size
}
