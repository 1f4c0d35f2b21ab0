package resolver

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

func TestChooseChallenge(t *testing.T) {
	for _, test := range []struct {
		headers []string
		want    string // of the first header; "" is what it was
	}{
		{[]string{`Basic realm="x"`}, ""},
		{[]string{`Negotiate`, `Basic realm="x"`}, `Basic realm="x"`},
		{[]string{`Negotiate, Basic realm="x"`}, `Basic realm="x"`},
		{[]string{`Negotiate oYIDtjCCA7Kg==, NTLM, basic`}, `basic`},
		{[]string{`NTLM`, `Negotiate`, `Digest realm="a, Basic b", nonce="c\",Bearer realm=d", qop=auth`, `Bearer realm="https://x/token",service="s", scope="a b"`}, `Bearer realm="https://x/token",service="s",scope="a b"`},
		{[]string{`Digest realm="a", algorithm=MD5, Bearer realm = "https://x/token" , service="s", Basic realm="b"`}, `Bearer realm = "https://x/token",service="s"`},
		{[]string{`Bearer error="invalid_token"`, `Basic realm="x"`}, `Basic realm="x"`},
		{[]string{`Basic realm="x", Bearer realm="y"`}, `Basic realm="x"`},
		{[]string{`, ,Basic realm="x",`}, `Basic realm="x"`},
		{[]string{`realm="x", Basic realm="y"`}, `Basic realm="y"`},
		{[]string{`Negotiate`, `NTLM`}, ""},
		{[]string{`Basic realm="x`}, ""},
		{[]string{``}, ""},
		{nil, ""},
	} {
		resp := &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{"Www-Authenticate": slices.Clone(test.headers)}}
		chooseChallenge(resp)
		got := resp.Header["Www-Authenticate"]
		if test.want == "" && !slices.Equal(got, test.headers) || test.want != "" && !slices.Equal(got, []string{test.want}) {
			t.Errorf("%q: %q, want %q", test.headers, got, test.want)
		}
	}
	resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Www-Authenticate": {"Negotiate", "Basic"}}}
	if chooseChallenge(resp); len(resp.Header["Www-Authenticate"]) != 2 {
		t.Error("an answer that isn't 401 is changed")
	}
}

// TestLoginBehindAnotherChallenge logs in where another scheme is offered before the
// one that is known.
func TestLoginBehindAnotherChallenge(t *testing.T) {
	for name, require := range map[string]func(*fakeregistry.Registry){
		"Basic":  func(r *fakeregistry.Registry) { r.RequireBasic("alice", "secret") },
		"Bearer": func(r *fakeregistry.Registry) { r.RequireBearer("alice", "secret", "", false) },
	} {
		for _, inOne := range []bool{true, false} {
			fake := fakeregistry.New()
			require(fake)
			desc := fake.AddArtifact("app", "v1", "", nil)
			blob := fake.AddBlob("app", alphabet)
			handler := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				fake.ServeHTTP(&challenger{w, inOne}, req)
			})
			r := repo(t, handler, Options{Username: "alice", Password: "secret"})
			if got, err := r.Resolve(t.Context(), "v1"); err != nil || got.Digest != desc.Digest {
				t.Errorf("%s, in one header %v: %+v, %v", name, inOne, got, err)
			}
			if got, _, err := fetch(r.Blob(blob), 0, 4); err != nil || got != "abcd" {
				t.Errorf("%s, in one header %v: %q, %v", name, inOne, got, err)
			}
		}
	}
}

// A challenger puts other schemes before the one that a registry asks for.
type challenger struct {
	http.ResponseWriter
	inOne bool
}

func (c *challenger) WriteHeader(status int) {
	if own := c.Header().Get("Www-Authenticate"); own != "" {
		all := []string{"Negotiate", `Digest realm="a, b", nonce="c"`, own}
		if c.inOne {
			all = []string{strings.Join(all, ", ")}
		}
		c.Header()["Www-Authenticate"] = all
	}
	c.ResponseWriter.WriteHeader(status)
}

func FuzzParseChallenges(f *testing.F) {
	for _, seed := range []string{`Negotiate abc==, Basic realm="x\",y"`, `Bearer realm = "x" , a=b,Digest`, `"`, `,,=`, `a="\`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		for _, c := range parseChallenges(header) {
			if c.scheme == "" || len(c.text) == 0 || c.met() && c.scheme != "basic" && c.scheme != "bearer" {
				t.Fatalf("%q: %+v", header, c)
			}
			// What is left of it is one challenge, and the same.
			again := parseChallenges(strings.Join(c.text, ","))
			if len(again) != 1 || again[0].scheme != c.scheme || !slices.Equal(again[0].text, c.text) {
				t.Fatalf("%q: %+v, and then %+v", header, c, again)
			}
		}
	})
}
