package fs

import (
	"slices"
	"strings"

	"github.com/orasfs/orasfs/resolver"
)

// children finds the names of a directory in a registry's catalog, which lists
// whole names of repositories: each child is found once, however many
// repositories are below it.
//
// It doesn't remember all that it found. Catalogs are sorted (resolver/order.go), either by bytes
// ("a", "a-b", "a/c") or by path ("a", "a/c", "a-b"); in the first order a
// child can come back after others, but only after such whose names begin with
// its own. So it is enough to remember the names which the latest begins with.
type children struct {
	below string   // "" or a name with a slash at its end
	open  []string // each begins with the one before
	over  bool     // the catalog has passed what is below

	sorted bool // some name was at its place
}

// next takes the next name of the catalog. It gives the child that the name is
// in, unless that isn't a new one.
func (c *children) next(name string) (child string, isNew bool) {
	rest, ok := strings.CutPrefix(name, c.below)
	if !ok || rest == "" {
		c.over = c.sorted && after(name, c.below)
		return "", false
	}
	c.sorted = true
	child, _, _ = strings.Cut(rest, "/")
	for len(c.open) > 0 {
		last := c.open[len(c.open)-1]
		if child == last {
			return "", false
		}
		if strings.HasPrefix(child, last) {
			break
		}
		c.open = c.open[:len(c.open)-1]
	}
	c.open = append(c.open, child)
	return child, true
}

// passed tells whether a page of the catalog is beyond what is below, of which there was
// nothing: where a list in order begins after below, and all of the page is after it,
// what is below would have come before. So a name with nothing below it doesn't take
// the rest of a long catalog.
func (c *children) passed(page []string) bool {
	return c.below != "" && !c.sorted && len(page) > 0 && resolver.InOrder(page) &&
		!slices.ContainsFunc(page, func(name string) bool { return !after(name, c.below) })
}

// after tells whether a name that isn't below a namespace stands after it in
// both orders.
func after(name, below string) bool {
	return name > below && resolver.ByComponent(name) > resolver.ByComponent(below)
}
