package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orasfs/orasfs/fs"
)

// A warmPart is a part of a TARGET.
type warmPart struct {
	*fs.Part
	reference string // the TARGET, as it was given
	here      int64
}

// fetchedAtOnce is how many parts are fetched at the same time. Each has as many
// requests on their way as the others leave it of --concurrency.
const fetchedAtOnce = 4

// A warmReport tells how it goes, and in the end what there is.
type warmReport struct {
	flags          *warmFlags
	stdout, stderr io.Writer
	bars           *bars

	mu     sync.Mutex // guards what follows, and lines
	result warmResult
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
	quiet := flags.quiet || flags.check || flags.format.value == "json"
	return &warmReport{
		flags: flags, stdout: stdout, stderr: stderr, bars: newBars(stderr, quiet),
		result: warmResult{Parts: []warmLine{}, Failed: []warmFailure{}},
	}
}

// fail takes that something can't be had.
func (r *warmReport) fail(reference string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Failed = append(r.result.Failed, warmFailure{reference, err.Error()})
}

// add takes what is here of a part.
func (r *warmReport) add(p *warmPart) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Parts = append(r.result.Parts, warmLine{p.reference, p.Name, p.Digest.String(), p.Size, p.here})
	r.result.Size += p.Size
	r.result.Here += p.here
}

// fetch fetches all parts, some of them at once.
func (r *warmReport) fetch(ctx context.Context, all []*warmPart) {
	defer r.bars.wait()
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
	var here atomic.Int64
	err := p.Fetch(ctx, func(n int64) {
		here.Add(n)
		bar.advance(n)
	})
	bar.end(err == nil)
	p.here = here.Load()
	r.add(p)
	switch {
	case err == nil:
		r.line(p, began)
	case ctx.Err() == nil:
		r.fail(p.reference, err)
	}
}

// line says that a part is here, where no bar shows it.
func (r *warmReport) line(p *warmPart, began time.Time) {
	if r.bars.moving() || r.flags.quiet || r.flags.format.value == "json" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	took := time.Since(began).Round(time.Millisecond)
	if p.Size == 0 {
		tell(r.stderr, fmt.Sprintf("%s: %s in %s", p.reference, p.Name, took))
		return
	}
	tell(r.stderr, fmt.Sprintf("%s: %s, %s in %s", p.reference, p.Name, humanBytes(p.Size), took))
}

// errNotWarm is that something couldn't be had, which has been printed.
var errNotWarm = errors.New("not everything is here")

// done prints what became of it.
func (r *warmReport) done(ctx context.Context) error {
	if r.flags.format.value == "json" {
		if err := printJSON(r.stdout, r.result); err != nil {
			return err
		}
	}
	return r.failed(ctx)
}

// failed prints what couldn't be had, and is an error if there is any.
func (r *warmReport) failed(ctx context.Context) error {
	for _, f := range r.result.Failed {
		tell(r.stderr, fmt.Sprintf("orasfs: %s: %s", f.Reference, f.Reason))
	}
	switch {
	case ctx.Err() != nil:
		return errors.New("interrupted: what was fetched is kept, and isn't fetched again")
	case len(r.result.Failed) > 0:
		return loggedError{errNotWarm}
	}
	return nil
}

// looked prints what share of the parts is here, and asks nobody for it.
func (r *warmReport) looked(ctx context.Context, all []*warmPart) error {
	for _, p := range all {
		var err error
		if p.here, err = p.Here(ctx); err != nil {
			r.fail(p.reference, err)
			continue
		}
		r.add(p)
	}
	if r.flags.format.value == "json" {
		return r.done(ctx)
	}
	for _, l := range r.result.Parts {
		if l.Size > 0 {
			tell(r.stdout, fmt.Sprintf("%3.0f%%  %10s  %s: %s", share(l.Here, l.Size), humanBytes(l.Size), l.Reference, l.Name))
		}
	}
	if len(r.result.Parts) > 0 {
		tell(r.stdout, fmt.Sprintf("%3.0f%% of %s", share(r.result.Here, r.result.Size), humanBytes(r.result.Size)))
	}
	return r.failed(ctx)
}

// share is a part of something in per cent; of nothing all is here.
func share(part, whole int64) float64 {
	if whole == 0 {
		return 100
	}
	return 100 * float64(part) / float64(whole)
}
