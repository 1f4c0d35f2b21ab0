package resolver

import (
	_ "crypto/sha256" // the two algorithms of the image specification
	_ "crypto/sha512"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry"
)

// A Target is what a mount shows: a registry, a namespace or a repository of
// it, or one artifact.
type Target struct {
	Host      string // HOST[:PORT], in lower case
	Name      string // of a repository or a namespace; "" is the whole registry
	Reference string // tag or digest; "" is none
}

// ParseTarget reads HOST[:PORT][/NAME][:TAG|@DIGEST]. Where both a tag and a
// digest are given the digest wins. The first component is always the host:
// there is no default registry, and no default tag. Errors wrap
// errdef.ErrInvalidReference.
func ParseTarget(s string) (Target, error) {
	t, err := parseTarget(s)
	if err != nil {
		return Target{}, fmt.Errorf("%w %q: %w", errdef.ErrInvalidReference, s, err)
	}
	return t, nil
}

func parseTarget(s string) (Target, error) {
	if scheme, _, ok := strings.Cut(s, "://"); ok {
		return Target{}, fmt.Errorf("leave out %q: a target is HOST[:PORT][/NAME][:TAG|@DIGEST]", scheme+"://")
	}
	host, path, hasPath := strings.Cut(s, "/")
	if err := checkHost(host); err != nil {
		return Target{}, err
	}
	t := Target{Host: strings.ToLower(host)}
	if !hasPath {
		return t, nil
	}
	rest, digested, hasDigest := strings.Cut(path, "@")
	name, tag, hasTag := strings.Cut(rest, ":")
	if err := checkName(name); err != nil {
		return Target{}, err
	}
	t.Name = name
	if hasTag {
		if !ValidTag(tag) {
			return Target{}, fmt.Errorf("invalid tag %q: letters, digits, '_', '.' and '-', at most 128", tag)
		}
		t.Reference = tag
	}
	if hasDigest {
		if err := checkDigest(digest.Digest(digested)); err != nil {
			return Target{}, err
		}
		t.Reference = digested
	}
	return t, nil
}

// ValidHost tells whether s may be a registry's HOST[:PORT], in lower case as it
// is in a Target.
func ValidHost(s string) bool { return s == strings.ToLower(s) && checkHost(s) == nil }

// checkHost follows Docker's rule for the first component of a reference: it
// is a host if it holds a dot or a colon or is localhost.
func checkHost(s string) error {
	host, port := s, ""
	bracketed := strings.HasPrefix(s, "[")
	if bracketed {
		inside, after, ok := strings.Cut(s[1:], "]")
		addr, err := netip.ParseAddr(inside)
		if !ok || err != nil || !addr.Is6() || addr.Zone() != "" {
			return fmt.Errorf("invalid host %q: no IPv6 address in the brackets", s)
		}
		host, port = inside, after
	} else if i := strings.IndexByte(s, ':'); i >= 0 {
		host, port = s[:i], s[i:]
	}
	if port != "" {
		if n, err := strconv.ParseUint(strings.TrimPrefix(port, ":"), 10, 16); err != nil || n == 0 || port[0] != ':' {
			return fmt.Errorf("invalid host %q: a port is a number from 1 to 65535", s)
		}
	}
	switch {
	case bracketed:
		return nil
	case !hostPattern.MatchString(host) || len(host) > 253:
		return fmt.Errorf("invalid host %q", s)
	case port == "" && !strings.Contains(host, ".") && !strings.EqualFold(host, "localhost"):
		return fmt.Errorf("%q is no registry's host: that has a dot or a port, or is localhost", s)
	}
	return nil
}

// hostPattern is what RFC 1123, section 2.1 has for a host's name, and underscores,
// which the names of services in Docker's and Kubernetes' networks have.
var hostPattern = regexp.MustCompile(`^\w([\w-]*\w)?(\.\w([\w-]*\w)?)*$`)

// maxComponent is the length of the longest file name: a component of a
// repository's name becomes a directory.
const maxComponent = 255

// ValidComponent tells whether name may be one component of a repository's
// name: lower case letters and digits, separated by one dot, one or two
// underscores, or dashes (distribution specification, "Pulling manifests"), at
// most 255 bytes.
func ValidComponent(name string) bool {
	return !strings.Contains(name, "/") && checkName(name) == nil
}

// checkName says what is wrong with a repository's name.
func checkName(name string) error {
	if name == "" {
		return errors.New("the repository's name is empty")
	}
	if (registry.Reference{Repository: name}).ValidateRepository() != nil {
		return fmt.Errorf("invalid repository %q: lower case letters and digits, with '.', '_', '-' and '/' between them", name)
	}
	for component := range strings.SplitSeq(name, "/") {
		if len(component) > maxComponent {
			return fmt.Errorf("invalid repository: a component of its name is longer than %d bytes", maxComponent)
		}
	}
	return nil
}

// ValidTag tells whether tag may be a tag (distribution specification,
// "Pulling manifests"): at most 128 letters, digits, '_', '.' and '-',
// beginning with neither of the last two.
func ValidTag(tag string) bool {
	return registry.Reference{Reference: tag}.ValidateReferenceAsTag() == nil
}

// checkDigest says what is wrong with a digest. The algorithms are those that
// the image specification registers with a "MUST" or "MAY": sha256, sha512.
func checkDigest(d digest.Digest) error {
	if err := d.Validate(); err != nil {
		return fmt.Errorf("invalid digest %q: %w", d, err)
	}
	if a := d.Algorithm(); a != digest.SHA256 && a != digest.SHA512 {
		return fmt.Errorf("invalid digest %q: sha256 and sha512 are supported", d)
	}
	return nil
}
