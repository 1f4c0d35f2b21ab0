package resolver

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Where a host has its API is known here alone. All others write addresses as if it
// were at /v2/: that is undone on the last step to the host, and done on the first
// step back.

// readdress makes a request for the API one for where the host has it, and tells a
// mirror which registry is meant (distribution specification, "Registry Proxying").
func (e *endpoint) readdress(req *http.Request) {
	below, ok := strings.CutPrefix(req.URL.Path, apiPath)
	if !ok || e.base == defaultBase && e.ns == "" {
		return
	}
	address := *req.URL
	address.Path, address.RawPath = e.base+"/"+below, ""
	if e.ns != "" {
		query := address.Query()
		query.Set("ns", e.ns)
		address.RawQuery = query.Encode()
	}
	req.URL = &address
}

// scope is what a repository is called where the API is, which is what tokens are for.
func (e *endpoint) scope(name string) string {
	if project, ok := strings.CutPrefix(e.base, apiPath); ok {
		return project + "/" + name
	}
	return name
}

// canonical writes the addresses that an answer leads on to as if the API were at
// /v2/.
func (e *endpoint) canonical(resp *http.Response) {
	if e.base == defaultBase || resp.Request == nil || !sameOrigin(resp.Request.URL, e.origin) {
		return
	}
	if location, err := resp.Location(); err == nil {
		resp.Header.Set("Location", e.asDefault(location).String())
	}
	links := slices.Clone(resp.Header.Values("Link"))
	for i, link := range links {
		target, rest, ok := strings.Cut(strings.TrimPrefix(link, "<"), ">")
		if next, err := resp.Request.URL.Parse(target); ok && err == nil {
			links[i] = "<" + e.asDefault(next).String() + ">" + rest
		}
	}
	if links != nil {
		resp.Header["Link"] = links
	}
}

// asDefault is an address as it would be with the API at /v2/.
func (e *endpoint) asDefault(u *url.URL) *url.URL {
	below, ok := strings.CutPrefix(u.Path, e.base+"/")
	if !ok || !sameOrigin(u, e.origin) {
		return u
	}
	address := *u
	address.Path, address.RawPath = apiPath+below, ""
	return &address
}

// triesTLS tells whether a host of which it is said that it talks HTTP, and something
// that only TLS has a use for, may talk TLS: its port doesn't tell.
func (e *endpoint) triesTLS() bool {
	return e.origin.Scheme == "http" && port(e.origin) != "80" && (e.ca != nil || e.client != nil || e.skipVerify != nil)
}
