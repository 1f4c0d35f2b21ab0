package mount

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// A unit is the service that is packed, by its settings. One that is there more than
// once has a line for each.
type unit map[string]string

func readUnit(t testing.TB) unit {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "scripts", "packaging", "orasfs@.service"))
	if err != nil {
		t.Fatal(err)
	}
	u := make(unit)
	for line := range strings.Lines(string(content)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			u[name] = strings.TrimPrefix(u[name]+"\n"+value, "\n")
		}
	}
	return u
}

// command is the unit's ExecStart= as systemd runs it for a mount: with no more of an
// environment than a service has.
func (u unit) command(t testing.TB, m *mount, socket notifySocket) *exec.Cmd {
	t.Helper()
	env := map[string]string{"TARGET": m.target, "MOUNTPOINT": m.dir}
	words := strings.Fields(u["ExecStart"])
	if words[0] != "/usr/bin/orasfs" || u["Type"] != "notify" || u["Environment"] != "ORASFS_CACHE_DIR=%C/orasfs" {
		t.Fatalf("the unit starts %q, of type %s, with %s", words, u["Type"], u["Environment"])
	}
	var args []string
	for _, word := range words[1:] {
		switch name, variable := strings.CutPrefix(word, "$"); {
		case strings.HasPrefix(name, "{"):
			args = append(args, env[strings.Trim(name, "{}")])
		case variable: // as words, perhaps none
			args = append(args, strings.Fields(env[name])...)
		default:
			args = append(args, word)
		}
	}
	cmd := exec.Command(m.binary, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), socket.variable(), "ORASFS_CACHE_DIR=" + m.cache, m.mark}
	return cmd
}

// serveAt serves a handler at an address, until the test ends or stop is called.
func serveAt(t testing.TB, address string, handler http.Handler) (stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	_ = server.Listener.Close() // it has had no visitor
	server.Listener = l
	server.Start()
	stop = func() {
		server.CloseClientConnections()
		server.Close()
	}
	t.Cleanup(stop)
	return stop
}

// TestUnitWithLateNetwork runs the service's command line as systemd does at a boot where
// the network comes late, again and again while it fails. Then at one where it doesn't
// come: what was mounted once is there at once. Then it is killed.
func TestUnitWithLateNetwork(t *testing.T) {
	t.Parallel()
	u := readUnit(t)
	if u["Restart"] != "on-failure" || u["After"] != "network-online.target" || u["Wants"] != "network-online.target" {
		t.Errorf("the unit has Restart=%s, After=%s, Wants=%s", u["Restart"], u["After"], u["Wants"])
	}
	// It is the service that is to give up waiting, in four times --timeout at most, as
	// the mount command has it; some systems end what isn't ready after 45 seconds.
	if patience, err := time.ParseDuration(strings.TrimSuffix(u["TimeoutStartSec"], "in")); err != nil || patience < 4*30*time.Second {
		t.Errorf("the unit has TimeoutStartSec=%s", u["TimeoutStartSec"])
	}
	address, socket := freeAddress(t), listenForNotify(t)
	f := &fake{fakeregistry.New(), address}
	_, original := f.addFile(t, "app", 1, small)
	m := prepare(t, address)
	for range 2 {
		p := start(t, u.command(t, m, socket))
		if state := p.wait(t); state.ExitCode() != 1 || !strings.Contains(p.stderr.String(), address) || mounted(t, m.dir) {
			t.Fatalf("without a network: %s, mounted: %t\n%s", state, mounted(t, m.dir), p.stderr.String())
		}
		socket.silent(t, "while nothing is mounted")
	}
	stop := serveAt(t, address, f.Registry)
	p := start(t, u.command(t, m, socket))
	socket.next(t, "READY=1")
	m.same(t, original, m.path(contentPath("app")))
	if state := p.signal(t, syscall.SIGTERM); !state.Success() {
		t.Errorf("stopped, it ends with %s, and would be started again", state)
	}
	socket.next(t, "STOPPING=1")
	m.gone(t)

	stop()
	p = start(t, u.command(t, m, socket))
	socket.next(t, "READY=1")
	m.same(t, original, m.path(contentPath("app")))
	if state := p.signal(t, syscall.SIGKILL); state.Success() {
		t.Errorf("killed, it ends with %s", state)
	}
	start(t, u.command(t, m, socket))
	socket.next(t, "READY=1")
	m.same(t, original, m.path(contentPath("app")))
}
