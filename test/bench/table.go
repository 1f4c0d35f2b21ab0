//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// A row of the table compares two measurements of a figure.
type row struct {
	what   string
	orasfs string // the name of its measurement
	peer   string // and of what it is compared with
	show   func(float64) string
	most   float64 // what the ratio should be at most; 0 if it is only shown
}

// A table is written row by row, as markdown.
type table struct{ out io.Writer }

func newTable(out io.Writer, runs int, scale float64) *table {
	size := ""
	if scale != 1 {
		size = fmt.Sprintf(", everything times %g", scale)
	}
	_, _ = fmt.Fprintf(out, "Medians of %d runs%s.\n\n", runs, size)
	_, _ = fmt.Fprintln(out, "| row | what | orasfs | peer | ratio | wanted |")
	_, _ = fmt.Fprintln(out, "|---|---|---|---|---|---|")
	return &table{out: out}
}

// add writes the rows of a figure: medians, and the median of the ratios of
// each run.
func (t *table) add(f figure, measured []results) {
	for _, r := range f.rows {
		var orasfs, peer, ratios []float64
		for _, m := range measured {
			orasfs, peer, ratios = append(orasfs, m[r.orasfs]), append(peer, m[r.peer]), append(ratios, m[r.orasfs]/m[r.peer])
		}
		wanted := "–"
		if r.most > 0 {
			wanted = "≤ " + number(r.most)
		}
		_, _ = fmt.Fprintf(t.out, "| %s | %s | %s | %s: %s | %s | %s |\n", f.name, strings.ReplaceAll(r.what, "|", `\|`),
			r.show(median(orasfs)), strings.ReplaceAll(r.peer, "|", `\|`), r.show(median(peer)), number(median(ratios)), wanted)
	}
}

func median(values []float64) float64 {
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}

// number has the digits that mean something: two or three.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 0.1 || v == 0:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.2g", v)
	}
}

func seconds(v float64) string {
	switch {
	case v >= 1:
		return number(v) + " s"
	case v >= 1e-3:
		return number(v*1e3) + " ms"
	default:
		return number(v*1e6) + " µs"
	}
}

func mebibytes(v float64) string { return number(v/(1<<20)) + " MiB" }
