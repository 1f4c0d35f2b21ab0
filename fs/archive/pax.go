package archive

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

// paxRecords are what a pax header says (POSIX.1-2001, "pax Extended Header").
type paxRecords struct {
	values map[string]string
	// sparseMap are GNU's records of the form 0.0, in their order, since they
	// repeat.
	sparseMap []string
}

const (
	paxXattr     = "SCHILY.xattr."
	paxSparse    = "GNU.sparse."
	maxPAXValues = 1 << 16
)

// parse adds the records of one header: "LENGTH KEY=VALUE\n" each. An empty
// value deletes.
func (p *paxRecords) parse(b []byte) error {
	if p.values == nil {
		p.values = map[string]string{}
	}
	for len(b) > 0 {
		space := bytes.IndexByte(b[:min(len(b), 20)], ' ')
		if space < 0 {
			if isZero(b) {
				return nil
			}
			return badTar("a pax record without a length")
		}
		n, err := strconv.ParseUint(string(b[:space]), 10, 31)
		if err != nil || int(n) > len(b) || int(n) <= space+1 || b[n-1] != '\n' { //nolint:gosec // 31 bits
			return badTar("a pax record of %q bytes", b[:space])
		}
		key, value, ok := strings.Cut(string(b[space+1:n-1]), "=")
		if !ok || key == "" {
			return badTar("a pax record without a key")
		}
		b = b[n:]
		switch key {
		case "GNU.sparse.offset", "GNU.sparse.numbytes":
			if len(p.sparseMap) >= 2*maxSparse {
				return badTar("a sparse file of too many parts")
			}
			p.sparseMap = append(p.sparseMap, value)
			continue
		}
		if len(p.values) >= maxPAXValues {
			return badTar("more than %d pax records", maxPAXValues)
		}
		p.values[key] = value
	}
	return nil
}

// apply changes an entry to what the records say. size is that of the content
// in the archive.
func (p *paxRecords) apply(e *entry, size *int64) error {
	for key, value := range p.values {
		if value == "" {
			continue
		}
		var err error
		switch key {
		case "path":
			e.name = value
		case "linkpath":
			e.link = value
		case "size":
			*size, err = paxNumber(value)
		case "uid":
			err = paxID(value, &e.uid)
		case "gid":
			err = paxID(value, &e.gid)
		case "mtime":
			e.mtime, err = paxTime(value)
		default:
			if name, ok := strings.CutPrefix(key, paxXattr); ok {
				e.xattrs = append(e.xattrs, Xattr{name, value})
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func paxNumber(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, badTar("the number %q", s)
	}
	return n, nil
}

func paxID(s string, to *uint32) error {
	n, err := paxNumber(s)
	*to = id(n)
	return err
}

// paxTime reads seconds with a fraction; of that, nanoseconds count.
func paxTime(s string) (mtime, error) {
	whole, fraction, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil && whole != "" && whole != "-" || sec == math.MinInt64 {
		return mtime{}, badTar("the time %q", s)
	}
	nsec := 0
	if fraction != "" {
		digits := (fraction + "000000000")[:9]
		if nsec, err = strconv.Atoi(digits); err != nil || nsec < 0 || strings.ContainsAny(fraction, "+-") {
			return mtime{}, badTar("the time %q", s)
		}
	}
	if strings.HasPrefix(whole, "-") && nsec > 0 {
		sec, nsec = sec-1, 1e9-nsec
	}
	return mtime{sec, uint32(nsec)}, nil //nolint:gosec // below 1e9
}
