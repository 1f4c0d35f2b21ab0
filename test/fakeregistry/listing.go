package fakeregistry

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A Listing says how the catalog and the lists of tags and of referrers are
// answered. The zero value is what the specification asks for.
type Listing struct {
	IgnoreType   bool     // referrers of all types, whichever is asked for
	IgnoreN      bool     // all on one page, whatever n says
	IgnoreLast   bool     // every page is the first one
	Unsorted     bool     // in no order
	Backwards    bool     // in no order that anybody knows, with tokens for the pages and heedless of last, as Quay's catalog
	NoLink       bool     // pages, and no Link to the next
	RefuseN      int      // an n above that is 400, as with distribution's catalog.maxentries; 0 is no bound
	Twice        bool     // every name is listed twice, on the next page too
	Hidden       []string // repositories that the catalog leaves out
	MaxPage      int      // at most so many names on a page; 0 is no bound
	UnknownEmpty bool     // tags of an unknown repository are 200 and empty, not 404
	NullTags     bool     // no tags are null, not []
	UnquotedRel  bool     // Link: <…>;rel=next
	AbsoluteLink bool     // the Link has scheme and host
}

// SetListing changes how lists are answered from now on.
func (r *Registry) SetListing(l Listing) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listing = l
}

func (r *Registry) serveCatalog(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	if r.catalog == nil {
		r.catalog = slices.Sorted(maps.Keys(r.repos))
	}
	names, listing := r.catalog, r.listing
	r.mu.Unlock()
	if listing.refuses(w, req) {
		return
	}
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(listing.Hidden, name) })
	page := listing.page(w, req, names)
	writeJSON(w, map[string]any{"repositories": page})
}

func (r *Registry) serveTags(w http.ResponseWriter, req *http.Request, name string) {
	r.mu.Lock()
	repo, listing := r.repos[name], r.listing
	var tags []string
	if repo != nil {
		if repo.sorted == nil {
			repo.sorted = slices.Sorted(maps.Keys(repo.tags))
		}
		tags = repo.sorted
	}
	r.mu.Unlock()
	if repo == nil && !listing.UnknownEmpty {
		fail(w, http.StatusNotFound, "NAME_UNKNOWN", "repository name not known to registry")
		return
	}
	if listing.refuses(w, req) {
		return
	}
	page := listing.page(w, req, tags)
	if len(page) == 0 && listing.NullTags {
		page = nil
	}
	writeJSON(w, map[string]any{"name": name, "tags": page})
}

// referrers returns the referrers that the request asks for: those of a type, and
// of them a page, in the order of their digests.
func (l Listing) referrers(w http.ResponseWriter, req *http.Request, all []ocispec.Descriptor) []ocispec.Descriptor {
	byDigest := make(map[string]ocispec.Descriptor, len(all))
	for _, d := range all {
		if t := req.URL.Query().Get("artifactType"); t == "" || l.IgnoreType || d.ArtifactType == t {
			byDigest[d.Digest.String()] = d
		}
	}
	if req.URL.Query().Has("artifactType") && !l.IgnoreType {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	page := []ocispec.Descriptor{}
	for _, name := range l.page(w, req, slices.Sorted(maps.Keys(byDigest))) {
		page = append(page, byDigest[name])
	}
	return page
}

// refuses answers a request for too long a page.
func (l Listing) refuses(w http.ResponseWriter, req *http.Request) bool {
	n, err := strconv.Atoi(req.URL.Query().Get("n"))
	if err != nil || l.RefuseN == 0 || n <= l.RefuseN {
		return false
	}
	fail(w, http.StatusBadRequest, "PAGINATION_NUMBER_INVALID", "invalid number of results requested")
	return true
}

// page returns the names that the request asks for and sets the Link to those
// that follow. The names are sorted and are not changed.
func (l Listing) page(w http.ResponseWriter, req *http.Request, names []string) []string {
	query := req.URL.Query()
	if l.Backwards {
		return l.pageBackwards(w, req, names)
	}
	if last := query.Get("last"); last != "" && !l.IgnoreLast {
		names = names[sort.Search(len(names), func(i int) bool { return names[i] > last }):]
	}
	n, err := strconv.Atoi(query.Get("n"))
	if err != nil || l.IgnoreN {
		n = len(names)
	}
	if l.MaxPage > 0 {
		n = min(n, l.MaxPage)
	}
	more := len(names) > n
	page := append([]string{}, names[:min(n, len(names))]...)
	if more && n > 0 && !l.NoLink {
		query.Set("last", page[n-1])
		w.Header().Set("Link", l.link(req, query))
	}
	if l.Unsorted {
		slices.Reverse(page)
	}
	if l.Twice {
		page = append(page, page...)
	}
	return page
}

// pageBackwards is page where the list goes from the last name to the first.
func (l Listing) pageBackwards(w http.ResponseWriter, req *http.Request, names []string) []string {
	query := req.URL.Query()
	begin, _ := strconv.Atoi(query.Get("next_page")) // none is the beginning
	names = slices.Clone(names)
	slices.Reverse(names)
	page := names[min(begin, len(names)):]
	if l.MaxPage > 0 && len(page) > l.MaxPage {
		page = page[:l.MaxPage]
		query.Set("next_page", strconv.Itoa(begin+len(page)))
		w.Header().Set("Link", l.link(req, query))
	}
	return page
}

func (l Listing) link(req *http.Request, query url.Values) string {
	target := req.URL.Path + "?" + query.Encode()
	if l.AbsoluteLink {
		target = origin(req) + target
	}
	if l.UnquotedRel {
		return fmt.Sprintf("<%s>;rel=next", target)
	}
	return fmt.Sprintf("<%s>; rel=%q", target, "next")
}

// origin is scheme and host of the server as the client wrote them.
func origin(req *http.Request) string {
	if req.TLS != nil {
		return "https://" + req.Host
	}
	return "http://" + req.Host
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
