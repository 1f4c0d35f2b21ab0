package resolver

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// summary is what an endpoint says, for tests.
func summary(e endpoint) string {
	s := "own"
	if e.origin != nil {
		s = e.origin.String()
	}
	s += " " + e.base + " "
	for i, letter := range "pruf" { // pull, resolve, push, referrers
		if e.can.all(1 << i) {
			s += string(letter)
		}
	}
	return s
}

func TestHostsFile(t *testing.T) {
	for _, test := range []struct {
		name, file string
		want       []string
	}{
		{"nothing", "", []string{"own /v2 pruf"}},
		{"a server", `server = "https://registry-1.docker.io"`, []string{"https://registry-1.docker.io /v2 pruf"}},
		{"a server without a scheme", `server = "mirror:5000"`, []string{"https://mirror:5000 /v2 pruf"}},
		{"the file's order", `
server = "https://z.example"
[host."https://y.example"]
[host."http://x.example:80"]
  capabilities = ["pull", "resolve"]
[host."https://a.example"]
  capabilities = ["Pull"]
  [host."https://a.example".header]
    x-a = "b"
[host."https://b.example"]
  capabilities = ["referrers", "push"]
`, []string{"https://y.example /v2 pruf", "http://x.example:80 /v2 pr", "https://a.example /v2 p", "https://b.example /v2 uf", "https://z.example /v2 pruf"}},
		{"keys with dots", `
host."https://y.example".capabilities = ["pull"]
host."https://a.example".capabilities = ["resolve"]
host."https://y.example".skip_verify = true
`, []string{"https://y.example /v2 p", "https://a.example /v2 r", "own /v2 pruf"}},
		{"paths", `
server = "https://z.example/v2/"
[host."https://a.example/us"]
[host."https://b.example/v2/upstream"]
  override_path = true
[host."https://c.example/v2"]
[host."https://d.example/x/../y//"]
[host."https://e.example"]
  override_path = true
[host."https://f.example/"]
`, []string{"https://a.example /us/v2 pruf", "https://b.example /v2/upstream pruf", "https://c.example /v2 pruf", "https://d.example /y/v2 pruf", "https://e.example  pruf", "https://f.example /v2 pruf", "https://z.example /v2 pruf"}},
		{"no capability is all", `capabilities = []`, []string{"own /v2 pruf"}},
		{"capabilities of the server", `capabilities = ["pull"]`, []string{"own /v2 p"}},
		{"what nobody knows", "proxy = \"http://p\"\nfuture = { x = 1 }\n[host.\"https://a\"]\nnew = [1]", []string{"https://a /v2 pruf", "own /v2 pruf"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			all, err := parseHosts([]byte(test.file), "/d")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range all {
				got = append(got, summary(e))
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestHostsFileTLSAndHeaders(t *testing.T) {
	all, err := parseHosts([]byte(`
ca = "own.pem"
skip_verify = false
dial_timeout = "1s"
[header]
  x-one = "a: b"
  x-two = ["c", "d"]
[host."https://a.example"]
  ca = ["a.pem", "/abs/b.pem"]
  client = "both.pem"
  skip_verify = true
[host."https://b.example"]
  client = ["1.pem", "2.pem"]
[host."https://c.example"]
  client = [["1.cert", "1.key"], ["/2.pem", ""]]
`), "/d")
	if err != nil {
		t.Fatal(err)
	}
	a, b, c, own := all[0], all[1], all[2], all[3]
	for _, test := range []struct{ got, want any }{
		{own.ca, []string{"/d/own.pem"}},
		{*own.skipVerify, false},
		{own.dialTimeout, time.Second},
		{own.header, http.Header{"X-One": {"a: b"}, "X-Two": {"c", "d"}}},
		{a.ca, []string{"/d/a.pem", "/abs/b.pem"}},
		{a.client, [][2]string{{"/d/both.pem", ""}}},
		{*a.skipVerify, true},
		{b.client, [][2]string{{"/d/1.pem", ""}, {"/d/2.pem", ""}}},
		{b.skipVerify == nil, true},
		{c.client, [][2]string{{"/d/1.cert", "/d/1.key"}, {"/2.pem", ""}}},
	} {
		if !reflect.DeepEqual(test.got, test.want) {
			t.Errorf("got %v, want %v", test.got, test.want)
		}
	}
}

// TestHostsFileErrors: who reads the log finds the line.
func TestHostsFileErrors(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{`x = `, "line 3"},
		{`capabilities = ["fly"]`, `"fly"`},
		{`capabilities = "pull"`, "list"},
		{`capabilities = [1]`, "string"},
		{`ca = 1`, "list"},
		{`client = [["a"]]`, "pair"},
		{`client = [["a", 1]]`, "string"},
		{`skip_verify = "yes"`, "bool"},
		{`dial_timeout = "soon"`, "duration"},
		{`dial_timeout = "-1s"`, "negative"},
		{`header = { "a b" = "c" }`, "header"},
		{`header = { range = "secret" }`, "Range"},
		{`header = { x = 1 }`, "list"},
		{`server = "https://user:secret@a.example"`, "a.example"},
		{`server = "https://"`, "HOST"},
		{`server = "https://a.example?secret"`, "a.example"},
		{`server = "http+unix://a"`, "neither"},
		{`[host."https://%zz"]`, "URL"},
		{`[host."https://a/b#c"]`, "HOST"},
	} {
		_, err := parseHosts([]byte("# one\n# two\n"+test.line), "/d")
		switch {
		case err == nil:
			t.Errorf("%s: no error", test.line)
		case !strings.Contains(err.Error(), "line 3"), !strings.Contains(err.Error(), test.want), strings.Contains(err.Error(), "secret"):
			t.Errorf("%s: %v", test.line, err)
		}
	}
	if _, err := parseHosts(make([]byte, maxHostsFile+1), ""); err == nil {
		t.Error("a file without bounds is taken")
	}
	many := ""
	for i := range maxEndpoints + 1 {
		many += fmt.Sprintf("[host.\"https://h%d\"]\n", i)
	}
	if _, err := parseHosts([]byte(many), ""); err == nil {
		t.Error("hosts without bounds are taken")
	}
}

func FuzzHostsFile(f *testing.F) {
	f.Add([]byte("server = \"https://a\"\n[host.\"http://b/c\"]\ncapabilities = [\"pull\"]\nclient = [[\"a\", \"b\"]]\n[host.\"http://b/c\".header]\nx = [\"y\"]"))
	f.Add([]byte(`host = { "a" = { ca = ["b"], dial_timeout = "1s" } }`))
	f.Fuzz(func(t *testing.T, content []byte) {
		all, err := parseHosts(content, "/d")
		if err != nil {
			return
		}
		if len(all) == 0 {
			t.Fatal("no server")
		}
		for _, e := range all {
			if e.can == 0 || e.origin != nil && e.origin.Hostname() == "" || strings.HasSuffix(e.base, "/") {
				t.Errorf("%q: %+v", content, e)
			}
		}
	})
}
