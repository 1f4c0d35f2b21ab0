package mount

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// TestFaultsOvercome has a registry misbehave in ways that must not show: the
// bytes are right.
func TestFaultsOvercome(t *testing.T) {
	t.Parallel()
	faults := map[string]fakeregistry.Fault{
		"no ranges":         {IgnoreRange: true},
		"cut once":          {Cut: true, CutAt: 100_000, Times: 1},
		"cut three times":   {Cut: true, CutAt: 70_000, Times: 3},
		"reset":             {Reset: true, Times: 1},
		"stall once":        {Stall: true, Times: 1},
		"hang once":         {Hang: true, CutAt: 100_000, Times: 1},
		"500 twice":         {Status: http.StatusInternalServerError, Times: 2},
		"503":               {Status: http.StatusServiceUnavailable, Times: 1},
		"429, seconds":      {Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "1"}, Times: 2},
		"429, without":      {Status: http.StatusTooManyRequests, Times: 1},
		"cut, no ranges":    {IgnoreRange: true, Cut: true, CutAt: 700_000, Times: 1},
		"no content length": {Header: map[string]string{"Content-Length": ""}},
		"wrong range":       {Header: map[string]string{"Content-Range": fmt.Sprintf("bytes 5-10/%d", large)}},
		"no range told":     {Header: map[string]string{"Content-Range": ""}},
		"ranges refused":    {Status: http.StatusForbidden, If: ranged},
		"ranges fail":       {Status: http.StatusRequestedRangeNotSatisfiable, If: ranged},
		"compressed":        {Gzip: true},
		"labelled":          {Header: map[string]string{"Content-Encoding": "gzip"}},
	}
	for name, fault := range faults {
		for _, size := range []int64{small, large} {
			t.Run(fmt.Sprintf("%s, %d bytes", name, size), func(t *testing.T) {
				t.Parallel()
				f := serveFake(t)
				layer, original := f.addFile(t, "app", 7, size)
				m := mountRegistry(t, f.host, waitsFor(fault)...)
				fault := fault // of this test alone
				fault.Path = "/blobs/" + layer.Digest.String()
				f.Inject(fault)
				file := m.path(contentPath("app"))
				middle := []string{"bs=4096", "count=1", "skip=128", "status=none"}
				if output(t, "dd", append(middle, "if="+file)...) != output(t, "dd", append(middle, "if="+original)...) {
					t.Error("4 KiB in the middle are wrong")
				}
				m.same(t, original, file)
				if n := f.Count(http.MethodGet, fault.Path); n == 0 || n > 60 {
					t.Errorf("the registry was asked for the blob %d times", n)
				}
			})
		}
	}
}

// waitsFor are flags of a mount that has to overcome a fault: what stalls takes all of the
// timeout, and nothing else comes near it, however busy the machine is.
func waitsFor(fault fakeregistry.Fault) []string {
	if fault.Stall || fault.Hang {
		return []string{"--timeout", "5s"}
	}
	return nil
}

func ranged(req *http.Request) bool { return req.Header.Get("Range") != "" }

// TestFaultsReported has a registry misbehave beyond what can be made good: a
// reader gets the errno that fits, the log says why, and when the registry is
// well again, so is the file.
func TestFaultsReported(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault fakeregistry.Fault
		errno string
		log   string
		holds time.Duration // what the registry said isn't asked again for so long
	}{
		"cut for ever": {fakeregistry.Fault{Cut: true}, ioError, "EOF", 0},
		"500 for ever": {fakeregistry.Fault{Status: http.StatusInternalServerError}, ioError, "500", 0},
		"429 for long": {fakeregistry.Fault{Status: http.StatusTooManyRequests, Header: map[string]string{"Retry-After": "6"}}, ioError, "429", 6 * time.Second},
		"forbidden":    {fakeregistry.Fault{Status: http.StatusForbidden}, noAccess, "403", time.Second},
		"gone":         {fakeregistry.Fault{Status: http.StatusNotFound}, "", "ERROR", time.Second},
		"stall":        {fakeregistry.Fault{Stall: true}, timedOut, "ETIMEDOUT", time.Second},
		"hang":         {fakeregistry.Fault{Hang: true}, timedOut, "ETIMEDOUT", time.Second},
	} {
		for _, size := range []int64{small, large} {
			t.Run(fmt.Sprintf("%s, %d bytes", name, size), func(t *testing.T) {
				t.Parallel()
				f := serveFake(t)
				layer, original := f.addFile(t, "app", 7, size)
				timeout := "5s"
				if c.holds > time.Second {
					timeout = "2s" // with more it would be waited for
				}
				m := mountRegistry(t, f.host, "--timeout", timeout)
				file := m.path(contentPath("app"))
				fault := c.fault // of this test alone
				fault.Path = "/blobs/" + layer.Digest.String()
				remove := f.Inject(fault)
				fails(t, c.errno, "cat", file)
				m.logs(t, layer.Digest.Encoded(), c.log)
				remove()
				time.Sleep(c.holds)
				m.same(t, original, file)
			})
		}
	}
}

// TestFlippedByte has a registry send a wrong byte. A small blob gives an error
// at once, not one byte of it is served. Of a large one no reader gets all,
// in whatever order it reads.
func TestFlippedByte(t *testing.T) {
	t.Parallel()
	// Each reader reads all of the file $0 and prints what it got.
	readers := map[string]string{
		"cat":         `cat "$0"`,
		"small reads": `dd if="$0" bs=32k status=none`,
		"backwards":   `i=20; while [ $i -ge 0 ]; do dd if="$0" bs=256k skip=$i count=1 status=none || exit 1; i=$((i-1)); done`,
		"by pieces":   `i=0; while [ $i -le 20 ]; do dd if="$0" bs=256k skip=$i count=1 status=none || exit 1; i=$((i+1)); done`,
		"last first":  `tail -c 1 "$0" && cat "$0"`,
		"two at once": `cat "$0" & cat "$0" >/dev/null; a=$?; wait $!; b=$?; [ $a = 0 ] || [ $b = 0 ]`,
	}
	for _, size := range []int64{small, large} {
		for name, script := range readers {
			for _, flipped := range []int64{0, size / 2, size - 1} {
				t.Run(fmt.Sprintf("%s, byte %d of %d", name, flipped, size), func(t *testing.T) {
					t.Parallel()
					f := serveFake(t)
					layer, original := f.addFile(t, "app", 7, size)
					m := mountRegistry(t, f.host, "--timeout", "5s")
					file := m.path(contentPath("app"))
					remove := f.Inject(fakeregistry.Fault{Path: "/blobs/" + layer.Digest.String(), Flip: true, FlipAt: flipped})

					r := try(t, "sh", "-c", script, file)
					if r.code == 0 || !strings.Contains(r.stderr, ioError) {
						t.Errorf("the reader ended with exit code %d, not an I/O error: %s", r.code, r.stderr)
					}
					if size == small && r.stdout != "" {
						t.Errorf("%d bytes of a small blob were served", len(r.stdout))
					}
					m.logs(t, layer.Digest.Encoded(), "EIO")

					// Nothing wrong may be left anywhere, the kernel's pages
					// included.
					remove()
					m.rightOrNothing(t, original, file)
					m.restart(t)
					m.rightOrNothing(t, original, file)
				})
			}
		}
	}
}

// rightOrNothing compares a file that has been refused. A comparison may fail
// with an error at first, never by a difference.
func (m *mount) rightOrNothing(t testing.TB, original, file string) {
	t.Helper()
	var r result
	for range 5 {
		r = try(t, "cmp", original, file)
		if r.code == 1 {
			t.Fatalf("wrong bytes: %s", r.stdout+r.stderr)
		}
		if r.code == 0 {
			return
		}
	}
	t.Errorf("the registry is well again, the file isn't: %s", r.stderr)
}

// TestTokenExpires lets bearer tokens run out while a blob is read.
func TestTokenExpires(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	layer, original := f.addFile(t, "app", 7, large)
	f.RequireBearer("reader", "s3cret", "", false)
	// Two requests at once: more would use up a token before each has tried it.
	m := prepare(t, f.host, "--concurrency", "1", "--username", "reader", "--password-stdin")
	m.stdin = "s3cret\n"
	m.mount(t)
	file := m.path(contentPath("app"))

	output(t, "dd", "if="+file, "bs=4096", "count=1", "status=none")
	f.ExpireTokens()
	f.LimitTokens(4)
	m.same(t, original, file)
	refused := 0
	for _, r := range f.Matching(http.MethodGet, "/blobs/"+layer.Digest.String()) {
		if r.Status == http.StatusUnauthorized {
			refused++
		}
	}
	if refused == 0 {
		t.Error("no request for the blob was refused: the test shows nothing")
	}
}

// TestRedirect reads blobs from where the registry redirects to: another host,
// which must not see the credentials, under addresses that expire and are
// secrets themselves.
func TestRedirect(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	layer, original := f.addFile(t, "app", 7, large)
	f.RequireBasic("reader", "s3cret")
	cdn := f.NewCDN()
	f.RedirectBlobs(cdn, "http://"+serve(t, cdn))
	m := prepare(t, f.host, "-v", "--username", "reader", "--password-stdin", "--timeout", "5s")
	m.stdin = "s3cret\n"
	m.mount(t)
	file := m.path(contentPath("app"))

	output(t, "dd", "if="+file, "bs=4096", "count=1", "status=none")
	asked := f.Count(http.MethodGet, "/blobs/"+layer.Digest.String())
	output(t, "dd", "if="+file, "bs=4096", "count=1", "skip=1024", "status=none")
	if again := f.Count(http.MethodGet, "/blobs/"+layer.Digest.String()); again != asked {
		t.Errorf("the registry was asked %d times for the address, then %d times", asked, again)
	}
	cdn.Expire()
	m.same(t, original, file)

	expired := 0
	for _, r := range cdn.Requests() {
		if r.Header.Get("Authorization") != "" || r.Header.Get("Cookie") != "" {
			t.Errorf("the other host was sent credentials: %v", r.Header)
		}
		if r.Status == http.StatusForbidden {
			expired++
		}
	}
	if expired == 0 {
		t.Error("no address had expired: the test shows nothing")
	}
	// An error that has the address in it.
	cdn.Inject(fakeregistry.Fault{Status: http.StatusInternalServerError})
	other, _ := f.addFile(t, "other", 8, small)
	fails(t, ioError, "cat", m.path(contentPath("other")))
	m.logs(t, other.Digest.Encoded(), "500")
	for _, secret := range []string{fakeregistry.Secret, "s3cret"} {
		if strings.Contains(m.log(t), secret) {
			t.Errorf("the log holds the secret %q", secret)
		}
	}
}

// TestDenied has a registry refuse what it gave before.
func TestDenied(t *testing.T) {
	t.Parallel()
	f := serveFake(t)
	f.addFile(t, "app", 7, small)
	f.RequireBasic("reader", "s3cret")
	m := prepare(t, f.host, "--username", "reader", "--password-stdin")
	m.stdin = "s3cret\n"
	m.mount(t)
	m.ls(t, "app/_tags/v1/")
	f.RequireBasic("reader", "changed")
	fails(t, noAccess, "cat", m.path(contentPath("app")))
	m.logs(t, "401")
}

// TestInterrupt interrupts a reader whom the registry keeps waiting: it ends,
// long before any deadline of a request, and others go on.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{small, large} {
		t.Run(fmt.Sprintf("%d bytes", size), func(t *testing.T) {
			f := serveFake(t)
			layer, original := f.addFile(t, "app", 7, size)
			m := mountRegistry(t, f.host, "--timeout", "1h")
			released := make(chan struct{})
			f.Inject(fakeregistry.Fault{Path: "/blobs/" + layer.Digest.String(), Stall: true, Until: released, Times: 1})
			file := m.path(contentPath("app"))

			interrupted := start(t, exec.Command("cat", file))
			eventually(t, "the registry is asked", func() bool {
				return f.Count(http.MethodGet, "/blobs/"+layer.Digest.String()) > 0
			})
			patient := start(t, exec.Command("cmp", original, file))
			state := interrupted.signal(t, syscall.SIGINT)
			if state.Success() {
				t.Error("the interrupted reader has read all")
			}
			close(released)
			if state := patient.wait(t); !state.Success() {
				t.Errorf("the other reader: %s\n%s%s", state, patient.stdout.String(), patient.stderr.String())
			}
		})
	}
}
