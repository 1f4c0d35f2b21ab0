package resolver

import (
	"slices"
	"strings"
)

// Catalogs are sorted, by byte ("a", "a-b", "a/c") or, as distribution's, by component,
// as if '/' came before all else ("a", "a/c", "a-b"). Quay's is in no order.

// ByComponent makes the order of bytes that of components.
func ByComponent(name string) string { return strings.ReplaceAll(name, "/", "\x00") }

// InOrder tells whether a page of a catalog is in one of the two orders.
func InOrder(names []string) bool {
	return slices.IsSorted(names) ||
		slices.IsSortedFunc(names, func(a, b string) int { return strings.Compare(ByComponent(a), ByComponent(b)) })
}

// follows tells whether a list that begins after last may hold name, in one of them.
func follows(name, last string) bool {
	return name > last || ByComponent(name) > ByComponent(last)
}
