package fakeregistry

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// authentication is how the registry is closed. Registry.mu guards it.
type authentication struct {
	scheme    string // "", "Basic" or "Bearer"
	username  string
	password  string
	refresh   string // identity token that the token endpoint takes
	anonymous bool   // the token endpoint gives tokens to anyone
	realm     string // "" is /token of this registry
	uses      int    // requests a token is good for; 0 is no bound
	tokens    map[string]*token
	denied    []string // scopes that no token is good for
	strict    bool     // who asks for those gets no token at all
}

type token struct {
	scopes []string
	left   int
}

// RequireBasic closes the registry to all but this user.
func (r *Registry) RequireBasic(username, password string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.auth = authentication{scheme: "Basic", username: username, password: password}
}

// RequireBearer closes the registry to all but those with a token, which
// /token gives to this user, to whom has that identity token (unless it is
// empty), and to anyone where anonymous is set.
func (r *Registry) RequireBearer(username, password, identityToken string, anonymous bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.auth = authentication{
		scheme: "Bearer", username: username, password: password,
		refresh: identityToken, anonymous: anonymous, tokens: make(map[string]*token),
	}
}

// SetRealm has tokens fetched from that URL instead of /token of this registry.
func (r *Registry) SetRealm(url string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.auth.realm = url
}

// Deny has the token endpoint give tokens that aren't good for a repository, as
// to a user who may not see it. The catalog lists it all the same.
func (r *Registry) Deny(repo string) { r.deny(scopeOf(repo, "tags")) }

// DenyCatalog does so for the catalog.
func (r *Registry) DenyCatalog() { r.deny(catalogScope) }

// RefuseTokens has the token endpoint answer 403 to who asks for what is denied,
// instead of a token for less.
func (r *Registry) RefuseTokens() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.auth.strict = true
}

func (r *Registry) deny(scope string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.auth.denied = append(r.auth.denied, scope)
}

// ExpireTokens makes every token given so far invalid.
func (r *Registry) ExpireTokens() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.auth.tokens)
}

// LimitTokens makes every token given from now on invalid after so many
// requests. 0 is no limit.
func (r *Registry) LimitTokens(uses int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.auth.uses = uses
}

// scopeOf is the scope a request needs (distribution's token scope
// documentation); "" is any.
func scopeOf(name, kind string) string {
	if kind == "" {
		return ""
	}
	return "repository:" + name + ":pull"
}

const catalogScope = "registry:catalog:*"

// authorize tells whether the request may go on, and answers it if not.
func (r *Registry) authorize(w http.ResponseWriter, req *http.Request, scope string) bool {
	if req.URL.Path == "/v2/_catalog" {
		scope = catalogScope
	}
	r.mu.Lock()
	challenge, ok := r.auth.check(req, scope)
	r.mu.Unlock()
	if !ok {
		w.Header().Set("WWW-Authenticate", challenge)
		fail(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
	}
	return ok
}

// check tells whether the request carries what it needs, or else the challenge.
func (a *authentication) check(req *http.Request, scope string) (challenge string, ok bool) {
	switch a.scheme {
	case "Basic":
		username, password, given := req.BasicAuth()
		return `Basic realm="fake"`, given && username == a.username && password == a.password
	case "Bearer":
		realm := a.realm
		if realm == "" {
			realm = origin(req) + "/token"
		}
		challenge = fmt.Sprintf(`Bearer realm=%q,service="fake"`, realm)
		if scope != "" {
			challenge += fmt.Sprintf(",scope=%q", scope)
		}
		return challenge, a.spend(req, scope)
	default:
		return "", true
	}
}

// spend tells whether the request's token is good for the scope and counts it.
func (a *authentication) spend(req *http.Request, scope string) bool {
	var id string
	_, _ = fmt.Sscanf(req.Header.Get("Authorization"), "Bearer %s", &id)
	t := a.tokens[id]
	if t == nil || t.left == 0 || (scope != "" && !slices.Contains(t.scopes, scope)) {
		return false
	}
	t.left--
	return true
}

// serveToken is the token endpoint, by GET (distribution's token
// authentication) and by POST (its OAuth2).
func (r *Registry) serveToken(w http.ResponseWriter, req *http.Request) {
	if err := req.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	id, status := r.auth.grant(req)
	r.mu.Unlock()
	switch status {
	case http.StatusUnauthorized:
		fail(w, status, "UNAUTHORIZED", "incorrect username or password")
		return
	case http.StatusForbidden:
		fail(w, status, "DENIED", "requested access to the resource is denied")
		return
	}
	writeJSON(w, map[string]string{"token": id, "access_token": id})
}

// grant makes the token that the request asks for.
func (a *authentication) grant(req *http.Request) (id string, status int) {
	if a.tokens == nil || !a.knows(req) {
		return "", http.StatusUnauthorized
	}
	// By GET each scope is a parameter, by POST they are one, with spaces.
	asked := strings.Fields(strings.Join(req.Form["scope"], " "))
	scopes := slices.DeleteFunc(slices.Clone(asked), func(scope string) bool { return slices.Contains(a.denied, scope) })
	if a.strict && len(scopes) < len(asked) {
		return "", http.StatusForbidden
	}
	t := &token{scopes: scopes, left: a.uses}
	if a.uses == 0 {
		t.left = -1
	}
	id = rand.Text()
	a.tokens[id] = t
	return id, http.StatusOK
}

// knows tells whether who asks for a token is somebody who may have one.
func (a *authentication) knows(req *http.Request) bool {
	username, password, given := req.BasicAuth()
	switch {
	case req.Method == http.MethodPost:
		return a.refresh != "" && req.PostForm.Get("refresh_token") == a.refresh
	case given:
		return username == a.username && password == a.password
	default:
		return a.anonymous
	}
}
