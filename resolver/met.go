package resolver

import (
	"errors"
	"slices"
	"strings"

	"github.com/hashicorp/golang-lru/v2"
	"oras.land/oras-go/v2/errdef"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// maxMet bounds the names and tags that are remembered as met, those that were
// used last. What is forgotten is there all the same, only no list of ours has it
// where the registry has none.
const maxMet = 16384

// met are the repositories of a registry that have given something, and the tags
// that they have resolved: what a list shows where the registry's own can't be had
// or leaves them out.
type met struct{ names *lru.Cache[metName, struct{}] }

// A metName is a tag of a repository; the tag "" is the repository itself.
type metName struct{ repository, tag string }

func newMet() (*met, error) {
	names, err := lru.New[metName, struct{}](maxMet)
	return &met{names}, err
}

// add takes that a repository has given something, by that tag unless it is "".
func (m *met) add(repository, tag string) {
	m.names.Add(metName{repository, ""}, struct{}{})
	if tag != "" {
		m.names.Add(metName{repository, tag}, struct{}{})
	}
}

// deny takes that a repository hasn't what it was asked for by a tag or a digest,
// if that is what err says.
func (m *met) deny(repository, reference string, err error) {
	if !errors.Is(err, errdef.ErrNotFound) {
		return
	}
	m.names.Remove(metName{repository, reference})
	var answer *errcode.ErrorResponse
	unknown := func(e errcode.Error) bool { return e.Code == errcode.ErrorCodeNameUnknown }
	if !errors.As(err, &answer) || !slices.ContainsFunc(answer.Errors, unknown) {
		return
	}
	for _, name := range m.names.Keys() {
		if name.repository == repository {
			m.names.Remove(name)
		}
	}
}

// repository tells whether a repository has given anything.
func (m *met) repository(name string) bool { return m.names.Contains(metName{name, ""}) }

// Met are the first components of the repositories below a name that have given
// something since this client was made, in order: "a" and "b" of "n/a/c" and "n/b"
// below "n". A name of "" is the registry itself.
func (r *Registry) Met(below string) []string {
	if below != "" {
		below += "/"
	}
	var found []string
	for _, name := range r.met.names.Keys() {
		if rest, ok := strings.CutPrefix(name.repository, below); ok && name.tag == "" && rest != "" {
			child, _, _ := strings.Cut(rest, "/")
			found = append(found, child)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// MetTags are the repository's tags that have been resolved since the registry's
// client was made, in order; ok is that it has given anything.
func (r *Repository) MetTags() (tags []string, ok bool) {
	for _, name := range r.registry.met.names.Keys() {
		if name.repository == r.name && name.tag != "" {
			tags = append(tags, name.tag)
		}
	}
	slices.Sort(tags)
	return tags, r.registry.met.repository(r.name)
}

// Remember takes that a tag of the repository was resolved before this client was
// made. Nobody is asked.
func (r *Repository) Remember(tag string) { r.registry.met.add(r.name, tag) }
