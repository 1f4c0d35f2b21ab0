package fakeregistry

import "testing"

func TestDeny(t *testing.T) {
	r := New()
	r.AddRepositories("app", "other")
	r.RequireBearer("alice", "secret", "", true)
	r.Deny("app")
	if w, _ := get(t, r, "/token?scope=repository:app:pull&scope=repository:other:pull"); w.Code != 200 {
		t.Fatalf("no token: %d", w.Code)
	}
	for id := range r.auth.tokens {
		for path, want := range map[string]int{"/v2/app/tags/list": 401, "/v2/other/tags/list": 200} {
			if w, _ := get(t, r, path, "Authorization", "Bearer "+id); w.Code != want {
				t.Errorf("%s: %d, want %d", path, w.Code, want)
			}
		}
	}
	r.RefuseTokens()
	for repo, want := range map[string]int{"app": 403, "other": 200} {
		if w, _ := get(t, r, "/token?scope=repository:"+repo+":pull"); w.Code != want {
			t.Errorf("a token for %s: %d, want %d", repo, w.Code, want)
		}
	}
}
