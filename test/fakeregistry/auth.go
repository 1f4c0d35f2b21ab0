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

// authorize tells whether the request may go on, and answers it if not.
func (r *Registry) authorize(w http.ResponseWriter, req *http.Request, scope string) bool {
	if req.URL.Path == "/v2/_catalog" {
		scope = "registry:catalog:*"
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
	username, password, given := req.BasicAuth()
	r.mu.Lock()
	a := &r.auth
	var ok bool
	switch {
	case req.Method == http.MethodPost:
		ok = a.refresh != "" && req.PostForm.Get("refresh_token") == a.refresh
	case given:
		ok = username == a.username && password == a.password
	default:
		ok = a.anonymous
	}
	var id string
	if ok && a.tokens != nil {
		id = rand.Text()
		// By GET each scope is a parameter, by POST they are one, with spaces.
		scopes := strings.Fields(strings.Join(req.Form["scope"], " "))
		a.tokens[id] = &token{scopes: scopes, left: a.uses}
		if a.uses == 0 {
			a.tokens[id].left = -1
		}
	}
	r.mu.Unlock()
	if id == "" {
		fail(w, http.StatusUnauthorized, "UNAUTHORIZED", "incorrect username or password")
		return
	}
	writeJSON(w, map[string]string{"token": id, "access_token": id})
}
