package resolver

import (
	"errors"
	"fmt"
	"hash/maphash"
	"net/http"
	"slices"

	"oras.land/oras-go/v2/errdef"
)

const (
	pageSize = 1000     // names asked for per page, what distribution gives at most
	maxPage  = 32 << 20 // bytes; a registry that ignores n sends all on one page
	maxPages = 10_000
)

// refusesSize tells whether a list may have been refused for the size of the page
// that was asked for.
func refusesSize(err error) bool {
	return hasStatus(err, http.StatusBadRequest, http.StatusNotAcceptable, http.StatusRequestEntityTooLarge,
		http.StatusRequestedRangeNotSatisfiable, http.StatusUnprocessableEntity)
}

// unique leaves out of the pages of a list what the same page or the one before it
// has already: some registries list a name twice. It changes the page.
type unique struct{ before map[string]bool }

func (u *unique) next(page []string) []string {
	now := make(map[string]bool, len(page))
	page = slices.DeleteFunc(page, func(name string) bool {
		again := now[name] || u.before[name]
		now[name] = true
		return again
	})
	u.before = now
	return page
}

// pages notices a list that doesn't end: each of its pages begins with a name
// that no page before began with.
type pages struct {
	seed  maphash.Seed
	begun map[uint64]bool // hashes of first names
	count int
}

func newPages() *pages {
	return &pages{seed: maphash.MakeSeed(), begun: make(map[uint64]bool)}
}

// add takes the next page.
func (p *pages) add(names []string) error {
	if p.count++; p.count > maxPages {
		return fmt.Errorf("more than %d pages: %w", maxPages, errdef.ErrTooManyPages)
	}
	if len(names) == 0 {
		return nil
	}
	first := maphash.String(p.seed, names[0])
	if p.begun[first] {
		return errors.New("the registry's pages repeat")
	}
	p.begun[first] = true
	return nil
}
