package main

import (
	"io"
	"os"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// bars show how far something is: on a terminal bars that move, nothing elsewhere.
type bars struct{ progress *mpb.Progress } // nil shows nothing

func newBars(w io.Writer, quiet bool) *bars {
	file, ok := w.(*os.File)
	if quiet || !ok || !term.IsTerminal(int(file.Fd())) { //nolint:gosec // a file descriptor is small
		return &bars{}
	}
	return &bars{mpb.New(mpb.WithOutput(w), mpb.WithWidth(40), mpb.PopCompletedMode())}
}

// maxBarName is how much of a name a bar has room for, in characters.
const maxBarName = 40

// barName is a name as a bar shows it: of a long one the end.
func barName(name string) string {
	runes := []rune(printable(name))
	if len(runes) > maxBarName {
		return "…" + string(runes[len(runes)-maxBarName+1:])
	}
	return string(runes)
}

// A bar is how far one thing of a known size is.
type bar struct{ bar *mpb.Bar }

// add makes a bar of something that has so many bytes; of 0 nobody knows how many.
func (b *bars) add(name string, total int64) *bar {
	if b.progress == nil {
		return &bar{}
	}
	if total == 0 {
		return &bar{b.progress.AddSpinner(0,
			mpb.PrependDecorators(decor.Name(barName(name), decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.Elapsed(decor.ET_STYLE_GO, decor.WCSyncSpace)),
		)}
	}
	return &bar{b.progress.AddBar(total,
		mpb.PrependDecorators(decor.Name(barName(name), decor.WCSyncSpaceR), decor.CountersKibiByte("% .1f / % .1f", decor.WCSyncSpace)),
		mpb.AppendDecorators(decor.AverageSpeed(decor.SizeB1024(0), "% .1f", decor.WCSyncSpace), decor.AverageETA(decor.ET_STYLE_GO, decor.WCSyncSpace)),
	)}
}

// advance is told how many more bytes are done.
func (b *bar) advance(n int64) {
	if b.bar != nil {
		b.bar.IncrInt64(n)
	}
}

// end ends the bar: full, or as it is.
func (b *bar) end(full bool) {
	switch {
	case b.bar == nil:
	case full:
		b.bar.SetTotal(-1, true)
	default:
		b.bar.Abort(false)
	}
}

// drop ends the bar and takes it away.
func (b *bar) drop() {
	if b.bar != nil {
		b.bar.Abort(true)
	}
}

// moving tells whether they are shown.
func (b *bars) moving() bool { return b.progress != nil }

// wait waits until the last state is shown.
func (b *bars) wait() {
	if b.progress != nil {
		b.progress.Wait()
	}
}
