package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/fs"
)

// A warmPart is a part of a TARGET.
type warmPart struct {
	*fs.Part
	reference string // the TARGET, as it was given
	err       error  // why it couldn't be fetched
}

// fetchedAtOnce is how many parts are fetched at the same time. Each has as many
// requests on their way as the others leave it of --concurrency.
const fetchedAtOnce = 4

// A warmReport tells how it goes, and in the end what there is.
type warmReport struct {
	flags          *warmFlags
	stdout, stderr io.Writer
	bars           *bars
	result         warmResult
}

// warmResult is what is printed as JSON.
type warmResult struct {
	Parts  []warmLine    `json:"parts"`
	Size   int64         `json:"size"`
	Here   int64         `json:"here"`
	Failed []warmFailure `json:"failed"`
}

type warmLine struct {
	Reference string `json:"reference"`
	Name      string `json:"name"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
	Here      int64  `json:"here"`
}

type warmFailure struct {
	Reference string `json:"reference"`
	Reason    string `json:"reason"`
}

func newWarmReport(flags *warmFlags, stdout, stderr io.Writer) *warmReport {
	still := flags.silent() || flags.verbose // whose lines would break into the bars
	return &warmReport{
		flags: flags, stdout: stdout, stderr: stderr, bars: newBars(stderr, still),
		result: warmResult{Parts: []warmLine{}, Failed: []warmFailure{}},
	}
}

// silent tells whether no progress is shown.
func (f *warmFlags) silent() bool { return f.quiet || f.check || f.format.value == "json" }

// fail takes that something can't be had.
func (r *warmReport) fail(reference string, err error) {
	r.result.Failed = append(r.result.Failed, warmFailure{reference, err.Error()})
}

// fetch fetches all parts, some of them at once.
func (r *warmReport) fetch(ctx context.Context, all []*warmPart) {
	defer func() {
		r.bars.wait()
		r.bars = &bars{} // it is over: of what comes then there are lines
	}()
	slots := make(chan struct{}, fetchedAtOnce)
	var running sync.WaitGroup
	defer running.Wait()
	for _, p := range all {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		running.Go(func() {
			defer func() { <-slots }()
			r.one(ctx, p)
		})
	}
}

// one fetches a part.
func (r *warmReport) one(ctx context.Context, p *warmPart) {
	bar := r.bars.add(p.Name, p.Size)
	began := time.Now()
	p.err = p.Fetch(ctx, bar.advance)
	bar.end(p.err == nil)
	if p.err == nil && !r.bars.moving() && !r.flags.silent() {
		r.line(p, time.Since(began).Round(time.Millisecond))
	}
}

// line says that a part is here, where no bar shows it.
func (r *warmReport) line(p *warmPart, took time.Duration) {
	size := ""
	if p.Size > 0 {
		size = ", " + humanBytes(p.Size)
	}
	tell(r.stderr, fmt.Sprintf("%s: %s%s in %s", p.reference, p.Name, size, took))
}

// look finds what of the parts is here, and asks nobody for it. What was fetched and is
// gone again has failed.
func (r *warmReport) look(ctx context.Context, all []*warmPart) {
	interrupted := ctx.Err() != nil
	ctx = context.WithoutCancel(ctx) // what is here is to be told after that too
	seen := map[digest.Digest]int64{}
	for _, p := range all {
		here, err := p.Here(ctx)
		switch err = cmp.Or(p.err, err); {
		case err != nil && !errors.Is(err, context.Canceled):
			r.fail(p.reference, err)
		case err == nil && here < p.Size && !r.flags.check && !interrupted:
			r.fail(p.reference, fmt.Errorf("%s (%s) isn't here any more: the cache is too small for all that is in use", p.Name, p.Digest))
		}
		r.result.Parts = append(r.result.Parts, warmLine{p.reference, p.Name, p.Digest.String(), p.Size, here})
		if size, ok := seen[p.Digest]; !ok || size != p.Size { // else it was counted
			r.result.Size += p.Size
			r.result.Here += here
		}
		seen[p.Digest] = p.Size
	}
}

// errNotWarm is that something couldn't be had, which has been printed.
var errNotWarm = errors.New("not everything is here")

// errInterrupted is that a signal came.
var errInterrupted = errors.New("interrupted: what was fetched is kept, and isn't fetched again")

// done prints what became of it, and is an error where something can't be had.
func (r *warmReport) done(ctx context.Context, all []*warmPart) error {
	if ctx.Err() != nil && (r.flags.check || r.flags.format.value != "json") {
		return errInterrupted
	}
	r.look(ctx, all)
	switch {
	case r.flags.format.value == "json":
		if err := printJSON(r.stdout, r.result); err != nil {
			return err
		}
	case r.flags.check:
		r.shares()
	}
	for _, f := range r.result.Failed {
		tell(r.stderr, fmt.Sprintf("orasfs: %s: %s", f.Reference, f.Reason))
	}
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case len(r.result.Failed) > 0:
		return loggedError{errNotWarm}
	}
	return nil
}

// shares prints what share of the parts is here.
func (r *warmReport) shares() {
	for _, l := range r.result.Parts {
		if l.Size > 0 {
			tell(r.stdout, fmt.Sprintf("%s  %10s  %s: %s", share(l.Here, l.Size), humanBytes(l.Size), l.Reference, l.Name))
		}
	}
	if len(r.result.Parts) > 0 {
		tell(r.stdout, fmt.Sprintf("%s of %s", share(r.result.Here, r.result.Size), humanBytes(r.result.Size)))
	}
}

// share is a part of something in per cent: 100 is all of it, and of nothing all is here.
func share(part, whole int64) string {
	percent := int64(100)
	if whole > 0 {
		percent = int64(100 * float64(part) / float64(whole))
	}
	return fmt.Sprintf("%3d%%", percent)
}
