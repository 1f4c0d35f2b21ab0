package resolver

import (
	"fmt"
	"os"
	"strings"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/errdef"
)

// ParseLayoutTarget reads PATH[:TAG|@DIGEST], the path of an OCI image layout
// and, where it isn't "", a reference in it. A path may hold '@' and ':': what
// exists as a whole is the path. Where both a tag and a digest are given the
// digest wins.
//
// A path that doesn't exist is fs.ErrNotExist, a reference that isn't one
// errdef.ErrInvalidReference.
func ParseLayoutTarget(s string) (path, reference string, err error) {
	path, reference, err = parseLayoutTarget(s)
	if err != nil {
		return "", "", fmt.Errorf("OCI layout %q: %w", s, err)
	}
	return path, reference, nil
}

func parseLayoutTarget(s string) (path, reference string, err error) {
	if s == "" {
		return "", "", fmt.Errorf("%w: it is empty", errdef.ErrInvalidReference)
	}
	if _, err := os.Stat(s); err == nil {
		return s, "", nil
	}
	before, digested, hasDigest := cutLast(s, '@')
	invalid := checkDigest(digest.Digest(digested))
	if hasDigest && invalid == nil {
		path, _, err = cutTag(before)
		return path, digested, err
	}
	path, reference, err = cutTag(s)
	if err != nil && hasDigest {
		if _, _, missing := cutTag(before); missing == nil {
			err = fmt.Errorf("%w: %w", errdef.ErrInvalidReference, invalid)
		}
	}
	return path, reference, err
}

// cutTag cuts PATH[:TAG] so that the path exists.
func cutTag(s string) (path, tag string, err error) {
	if _, err = os.Stat(s); err == nil {
		return s, "", nil
	}
	path, tag, ok := cutLast(s, ':')
	if !ok || strings.Contains(tag, "/") {
		return "", "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", "", err
	}
	if !ValidTag(tag) {
		return "", "", fmt.Errorf("%w: invalid tag %q: letters, digits, '_', '.' and '-', at most 128", errdef.ErrInvalidReference, tag)
	}
	return path, tag, nil
}

// cutLast cuts s at the last separator that has something before it.
func cutLast(s string, separator byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, separator)
	if i <= 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
