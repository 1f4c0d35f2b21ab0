package resolver

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// A contentRange is what an answer says it holds (RFC 9110, section 14.4). Servers
// spell it in other ways too: without the unit, with "bytes=" as in a request, or
// without the total.
type contentRange struct {
	off, n int64 // n is 0 where the range was unsatisfiable
	total  int64 // -1 where the server doesn't know
}

var contentRangePattern = regexp.MustCompile(`^(?:(?i:bytes)[\s=:]+)?(?:(\d+)\s*-\s*(\d+)|\*)\s*(?:/\s*(\d+|\*))?$`)

func parseContentRange(s string) (contentRange, error) {
	m := contentRangePattern.FindStringSubmatch(strings.TrimSpace(s))
	if m == nil {
		return contentRange{}, fmt.Errorf("invalid Content-Range %q", s)
	}
	r := contentRange{total: -1}
	var err error
	if m[3] != "*" && m[3] != "" {
		if r.total, err = strconv.ParseInt(m[3], 10, 64); err != nil {
			return contentRange{}, fmt.Errorf("invalid Content-Range %q: %w", s, err)
		}
	}
	if m[1] == "" {
		if r.total < 0 {
			return contentRange{}, fmt.Errorf("invalid Content-Range %q: it says nothing", s)
		}
		return r, nil
	}
	first, err1 := strconv.ParseInt(m[1], 10, 64)
	last, err2 := strconv.ParseInt(m[2], 10, 64)
	// The second comparison keeps the length, and the end, from overflowing.
	if err1 != nil || err2 != nil || last < first || last == math.MaxInt64 || (r.total >= 0 && last >= r.total) {
		return contentRange{}, fmt.Errorf("invalid Content-Range %q: no range", s)
	}
	r.off, r.n = first, last-first+1
	return r, nil
}
