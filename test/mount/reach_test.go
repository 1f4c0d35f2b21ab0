package mount

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// TestHeader has a registry behind what wants a header with every request. It has it,
// however it is given, the CDN doesn't, and nobody else sees what it holds.
func TestHeader(t *testing.T) {
	t.Parallel()
	const key = "s3cret-k3y"
	f := serveFake(t)
	_, original := f.addFile(t, "app", 1, small)
	cdn := f.NewCDN()
	f.RedirectBlobs(cdn, "http://"+serve(t, cdn))
	f.Inject(fakeregistry.Fault{
		If:     func(r *http.Request) bool { return r.Header.Get("X-Key") != key },
		Status: http.StatusForbidden,
	})
	closed := prepare(t, f.host)
	closed.refused(t, closed.command(), 1, f.host, "403")

	for name, give := range map[string]func(m *mount) *exec.Cmd{
		"flags": func(m *mount) *exec.Cmd { return m.command("-H", "X-Key: "+key, "--header", "X-Other: 1, 2") },
		"environment": func(m *mount) *exec.Cmd {
			m.env = []string{"ORASFS_HEADER=X-Key: " + key + "\nX-Other: 1, 2"}
			return m.command()
		},
		"mount(8)": func(m *mount) *exec.Cmd {
			cmd := m.command()
			cmd.Args = []string{m.binary, m.target, m.dir, "-o", "rw,verbose,cache-dir=" + m.cache + ",header=X-Key:" + key}
			cmd.Env = append(cmd.Env, "ORASFS_HEADER=not used")
			return cmd
		},
	} {
		for _, target := range []string{f.host, "none"} {
			t.Run(name+" "+target, func(t *testing.T) {
				m := prepare(t, target, "-v")
				if r := finish(t, give(m)); r.code != 0 {
					t.Fatalf("%s: exit code %d\n%s", r.command, r.code, r.stderr)
				}
				path := contentPath("app")
				if target == "none" {
					path = f.host + "/" + path
				}
				m.same(t, original, m.path(path))
				for _, file := range []string{"cmdline", "environ"} {
					content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", m.daemon(t), file))
					if err != nil {
						t.Fatal(err)
					}
					if strings.Contains(string(content), key) {
						t.Errorf("the daemon's %s holds the header", file)
					}
				}
				if strings.Contains(m.log(t), key) {
					t.Error("the log holds the header")
				}
			})
		}
	}
	if cdn.Count("", "") == 0 {
		t.Error("nothing was read of the CDN: the test shows nothing")
	}
	for _, r := range cdn.Requests() {
		if r.Header.Get("X-Key") != "" {
			t.Error("the CDN has seen the header")
		}
	}
}

// TestHeaderAuthorization logs in with a header, which is for one registry.
func TestHeaderAuthorization(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	_, original := f.addFile(t, "app", 1, small)
	f.RequireBasic("reader", "right")
	m := mountRegistry(t, f.host, "--header", "Authorization: Basic cmVhZGVyOnJpZ2h0", "--registry-config", credentialsFile(t, f.host, "wrong"))
	m.same(t, original, m.path(contentPath("app")))
	wrong := prepare(t, f.host, "--header", "Authorization: Basic d3Jvbmc=")
	wrong.refused(t, wrong.command(), 1, "the header Authorization", "401")
	every := prepare(t, "none", "--header", "Authorization: Basic cmVhZGVyOnJpZ2h0")
	every.refused(t, every.command(), 2, "Authorization", "one registry")
}

// TestResolve mounts a registry of a name that nobody knows, with an underscore, as
// oras pulls from it.
func TestResolve(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	_, original := f.addFile(t, "app", 1, small)
	_, port, err := net.SplitHostPort(f.host)
	if err != nil {
		t.Fatal(err)
	}
	const host = "my_registry.example:4711"
	resolve := host + ":127.0.0.1:" + port
	orasIn(t, t.TempDir(), "pull", "--plain-http", "--resolve", resolve, host+"/app:v1")
	for _, target := range []string{host, "none"} {
		m := mountRegistry(t, target, "--plain-http", "-o", "resolve=other.example:1:127.0.0.1,resolve="+resolve)
		path := contentPath("app")
		if target == "none" {
			path = host + "/" + path
		}
		m.same(t, original, m.path(path))
		m.unmount(t)
	}
	for _, r := range f.Requests() {
		if r.Host != host {
			t.Errorf("the registry is asked as %s", r.Host)
		}
	}
}

// TestIdentityToken logs in with an identity token, of which the process list and the
// log hold nothing.
func TestIdentityToken(t *testing.T) {
	t.Parallel()
	const token = "1dentity-t0ken"
	f := serveFake(t)
	_, original := f.addFile(t, "app", 1, small)
	f.RequireBearer("reader", password, token, false)
	m := prepare(t, f.host, "-v", "--identity-token-stdin")
	m.stdin = token + "\n"
	m.mount(t)
	m.same(t, original, m.path(contentPath("app")))
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", m.daemon(t)))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(content)+m.log(t), token) {
		t.Error("the token is shown")
	}
	wrong := prepare(t, f.host, "--identity-token-stdin")
	wrong.stdin = "wrong"
	wrong.refused(t, wrong.command(), 1, "identity token", "401")
}

// TestWhoIsDown has others than the registry fail: the command names who it is, and
// so does the log.
func TestWhoIsDown(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "app", 1, small)
	f.RequireBearer("", "", "", true)
	service := fmt.Sprint("127.0.0.1:", freePort(t))
	f.SetRealm("http://" + service + "/token")
	m := prepare(t, f.host, "--timeout", "2s")
	m.refused(t, m.command(), 1, service+" (token service of "+f.host+") refuses the connection", "ask who runs "+f.host)

	every := mountRegistry(t, "none", "--timeout", "2s")
	fails(t, ioError, "ls", every.path(f.host))
	every.logs(t, "level=ERROR", service+" (token service of "+f.host+")", "connection refused")

	for name, c := range map[string]struct {
		target, proxy string
		words         []string
	}{
		"proxy down":           {"registry.example", "http://127.0.0.1:1", []string{"127.0.0.1:1 (proxy) refuses the connection", "HTTPS_PROXY"}},
		"proxy wants a login":  {"registry.example", "http://" + serve(t, answering(http.StatusProxyAuthRequired)), []string{"(proxy) wants a login (407)", "HTTPS_PROXY"}},
		"proxy connects to no": {"registry.example", "http://" + serve(t, answering(http.StatusForbidden)), []string{"(proxy)", "403 Forbidden", "HTTPS_PROXY"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := prepare(t, c.target)
			m.env = []string{"HTTPS_PROXY=" + c.proxy}
			m.refused(t, m.command(), 1, c.words...)
		})
	}
}

func answering(status int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
}
