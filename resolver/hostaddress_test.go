package resolver

import (
	"net"
	"reflect"
	"testing"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

func TestParseResolve(t *testing.T) {
	got, err := ParseResolve([]string{"A.example:443:10.0.0.1", "b:5000:127.0.0.1:80", "c:1:[::1]", "my_c:1:[2001:db8::1]:2"})
	want := map[string]string{"a.example:443": "10.0.0.1:443", "b:5000": "127.0.0.1:80", "c:1": "[::1]:1", "my_c:1": "[2001:db8::1]:2"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	for _, entry := range []string{
		"", "a", "a:1", "a:1:", "a:x:127.0.0.1", ":1:127.0.0.1", "a:1:b", "a:1:127.0.0.1:", "a:1:127.0.0.1:0", "a:1:127.0.0.1:99999", "a:1:::1",
		"a:1:[127.0.0.1]", "a:1:[::1", "a:1:[fe80::1%x", "a b:1:127.0.0.1",
	} {
		if got, err := ParseResolve([]string{entry}); err == nil {
			t.Errorf("%q is %v", entry, got)
		}
	}
}

// A registry of a name that nobody knows is where the user says, and so is the host
// that it redirects to, on this machine though it is.
func TestResolvedHosts(t *testing.T) {
	fake := fakeregistry.New()
	desc := fake.AddBlob("app", alphabet)
	cdn := fake.NewCDN()
	table := map[string]string{}
	at := func(name, hostport string) string {
		_, port, err := net.SplitHostPort(hostport)
		if err != nil {
			t.Fatal(err)
		}
		table[name+":4711"] = "127.0.0.1:" + port
		return name + ":4711"
	}
	fake.RedirectBlobs(cdn, "http://"+at("cdn.example", serve(t, cdn)))
	host := at("my_registry.example", serve(t, fake))
	r := repoOf(t, dial(t, host, Options{PlainHTTP: new(true), Resolve: table}), "app")
	r.registry.hosts.isLocal.Store(false)
	pretend(r.registry)
	r.registry.hosts.table["http://"+host].transport.DialContext = r.registry.hosts.options.resolving(new(net.Dialer).DialContext)
	if got, _, err := fetch(r.Blob(desc), 0, 4); got != "abcd" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got := fake.Requests()[0].Host; got != host {
		t.Errorf("the registry is asked as %s", got)
	}
}
