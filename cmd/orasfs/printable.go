package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Errors and lines of a log hold what a registry or another program wrote. To a
// terminal such text is a program: it moves the cursor, hides what stands before
// it, or types. So nothing is printed but by tell, or by a logger that quotes.

// tell prints one line.
func tell(w io.Writer, line string) {
	// Best effort: there is nowhere to report a failure to report.
	_, _ = io.WriteString(w, printable(line)+"\n")
}

// printable makes one line of a text, with what a terminal doesn't show as a
// character quoted as in Go: an escape is \x1b. What is printable already stays
// as it is.
func printable(s string) string {
	lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' })
	return quoteControls(strings.Join(lines, " "), func(r rune) string {
		quoted := strconv.QuoteRune(r)
		return quoted[1 : len(quoted)-1]
	})
}

// quoteControls replaces each character that isn't printable, and each byte that
// isn't UTF-8, by what quote makes of it. Tabs are harmless.
func quoteControls(s string, quote func(rune) string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)):
			b.WriteString(quote(utf8.RuneError))
		case r == '\t' || strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(quote(r))
		}
	}
	return b.String()
}

// A quotedJSON writes lines of JSON, whose strings may hold anything but what
// is below the space: what isn't printable is quoted there too.
type quotedJSON struct{ w io.Writer }

// Write implements io.Writer. It is given one line at a time.
func (q quotedJSON) Write(line []byte) (int, error) {
	text := quoteControls(strings.TrimSuffix(string(line), "\n"), func(r rune) string {
		var quoted strings.Builder
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&quoted, `\u%04x`, unit)
		}
		return quoted.String()
	})
	if _, err := io.WriteString(q.w, text+"\n"); err != nil {
		return 0, err
	}
	return len(line), nil
}
