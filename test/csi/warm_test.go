//go:build linux

package csi

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/orasfs/orasfs/test/fakeregistry"
)

// model is an artifact that is fetched ahead.
var model = map[string]int64{"config.json": 10 << 10, "tokenizer.json": 200 << 10, "weights-1": 6 << 20, "weights-2": 7 << 20}

// serveModel serves it, and says how many bytes of a file have been fetched.
func serveModel(t *testing.T) (fake *fakeregistry.Registry, reference string, content map[string]string, got func(file string) int64) {
	t.Helper()
	fake, host := serve(t)
	content = make(map[string]string)
	for name, size := range model {
		content[name] = noise(t, uint64(len(content)+1), size) //nolint:gosec // small
	}
	digests := pushFiles(fake, "org/model", "v1", content)
	return fake, host + "/org/model:v1", content, func(file string) int64 { return fetched(fake, digests[file]) }
}

// warming are the processes that fetch ahead on a node.
func (n *node) warming() (pids []int) {
	n.t.Helper()
	return slices.DeleteFunc(n.processes(), func(pid int) bool {
		line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline")) //nolint:gosec // of a process, which may be gone
		return err != nil || !bytes.Contains(line, []byte("\x00warm\x00"))
	})
}

// With warm: before all is here once the volume is published, whatever happens to the
// registry then, and each byte was fetched once.
func TestWarmBefore(t *testing.T) {
	t.Parallel()
	fake, reference, content, got := serveModel(t)
	n := newNode(t)
	a := n.pod("a", map[string]string{"reference": reference, "warm": "before"})
	a.mustPublish()
	fake.Inject(fakeregistry.Fault{Reset: true})
	for name, text := range content {
		a.mustHold(name, text)
		if got(name) != model[name] {
			t.Errorf("%d bytes of %s were fetched, which has %d", got(name), name, model[name])
		}
	}
	a.mustPublish()
	n.stop(unix.SIGKILL)
	n.start()
	fake.Reset()
	a.mustPublish()
	if asked := fake.Requests(); len(asked) > 0 {
		t.Errorf("what is here is fetched again: %v", asked)
	}
}

// What takes longer than kubelet waits goes on, and the next call waits for the rest.
func TestWarmTakesLong(t *testing.T) {
	t.Parallel()
	fake, reference, content, got := serveModel(t)
	until := make(chan struct{})
	fake.Inject(fakeregistry.Fault{Path: "/blobs/", Hang: true, CutAt: 1000, Until: until})
	n := newNode(t, "--timeout=5m")
	a := n.pod("a", map[string]string{"reference": reference, "warm": "before"})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		n.awaits("content is asked for", func() bool { return got("weights-1") > 0 })
		cancel()
	}()
	if _, err := n.NodePublishVolume(ctx, a.request()); status.Code(err) != codes.Canceled {
		t.Errorf("published: %v", err)
	}
	if _, err := os.Lstat(a.target); !os.IsNotExist(err) {
		t.Errorf("the target of what isn't here yet is there: %v", err)
	}
	close(until)
	a.mustPublish()
	fake.Inject(fakeregistry.Fault{Reset: true})
	for name, text := range content {
		a.mustHold(name, text)
		if got(name) != model[name] {
			t.Errorf("%d bytes of %s were fetched, which has %d", got(name), name, model[name])
		}
	}
}

// Kubelet doesn't wait any more, and the pod is gone: nothing goes on being fetched.
func TestWarmIsGivenUp(t *testing.T) {
	t.Parallel()
	fake, reference, _, got := serveModel(t)
	fake.Inject(fakeregistry.Fault{Path: "/blobs/", Hang: true, CutAt: 1000})
	n := newNode(t, "--timeout=5m")
	for _, warm := range []string{"before", "background"} {
		a := n.pod(warm, map[string]string{"reference": reference, "warm": warm})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			n.awaits("content is asked for", func() bool { return got("weights-1") > 0 })
			cancel()
		}()
		_, err := n.NodePublishVolume(ctx, a.request())
		if (err == nil) != (warm == "background") {
			t.Errorf("publish with warm: %s: %v", warm, err)
		}
		<-ctx.Done()
		if len(n.warming()) != 1 {
			t.Errorf("processes that fetch ahead: %v", n.warming())
		}
		a.mustUnpublish()
		n.mustBeEmpty()
		fake.Reset()
	}
}

// What can't be fetched ahead fails the publication, and leaves nothing.
func TestWarmFails(t *testing.T) {
	t.Parallel()
	fake, reference, content, _ := serveModel(t)
	mend := fake.Inject(fakeregistry.Fault{Path: "/blobs/", Status: 404})
	n := newNode(t)
	a := n.pod("a", map[string]string{"reference": reference, "warm": "before"})
	mustSay(t, a.publish(), reference, "ahead")
	n.mustBeEmpty()
	mend()
	a.mustPublish()
	a.mustHold("weights-1", content["weights-1"])
}

// What is chosen is fetched, and no byte of the rest.
func TestWarmChooses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		attributes map[string]string
		want       []string
	}{
		"include": {map[string]string{"include": "*.json"}, []string{"config.json", "tokenizer.json"}},
		"exclude": {map[string]string{"exclude": "weights-*"}, []string{"config.json", "tokenizer.json"}},
		"both":    {map[string]string{"include": "{config,tokenizer}.json, weights-1", "exclude": "tok*\nweights-2"}, []string{"config.json", "weights-1"}},
		"view":    {map[string]string{"view": "files", "include": "config.json"}, []string{"config.json"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake, reference, content, got := serveModel(t)
			n := newNode(t)
			tc.attributes["reference"], tc.attributes["warm"] = reference, "before"
			a := n.pod("a", tc.attributes)
			a.mustPublish()
			for file, size := range model {
				if !slices.Contains(tc.want, file) {
					size = 0
				}
				if got(file) != size {
					t.Errorf("%d bytes of %s were fetched, want %d", got(file), file, size)
				}
			}
			fake.Inject(fakeregistry.Fault{Reset: true})
			for _, file := range tc.want {
				a.mustHold(file, content[file])
			}
		})
	}
}

// Of a part of an image that alone is fetched ahead.
func TestWarmPart(t *testing.T) {
	t.Parallel()
	fake, host := serve(t)
	pushImage(t, fake, "org/image", "v1", directory("a/"), regular("a/file", noise(t, 1, 1<<20)), regular("b", noise(t, 2, 20<<20)), directory("c/"), directory("c/a/"), regular("c/a/file", noise(t, 3, 20<<20)))
	n := newNode(t)
	a := n.pod("a", map[string]string{"reference": host + "/org/image:v1", "view": "rootfs", "subPath": "a", "warm": "before"})
	a.mustPublish()
	fake.Inject(fakeregistry.Fault{Reset: true})
	a.mustHold("file", noise(t, 1, 1<<20))
	var sent int64
	for _, r := range fake.Matching("GET", "/blobs/") {
		sent += r.Bytes
	}
	if sent > 25<<20 {
		t.Errorf("%d bytes were fetched for a part of 1 MiB", sent)
	}
}

// The driver is killed while it fetches ahead: so is what does, and the volume's next
// publication goes on where that ended.
func TestDriverIsKilledWhileWarming(t *testing.T) {
	t.Parallel()
	fake, reference, content, got := serveModel(t)
	second := digest.FromString(content["weights-2"]).String()
	remove := fake.Inject(fakeregistry.Fault{Path: second, Hang: true, CutAt: 1000})
	n := newNode(t, "--timeout=5m")
	a := n.pod("a", map[string]string{"reference": reference, "warm": "background"})
	a.mustPublish()
	n.awaits("content comes", func() bool { return got("weights-2") > 0 && got("weights-1") >= model["weights-1"] })
	a.mustHold("weights-1", content["weights-1"])
	if len(n.warming()) != 1 {
		t.Fatalf("processes that fetch ahead: %v", n.warming())
	}
	n.stop(unix.SIGKILL)
	n.awaits("what fetches ahead has ended", func() bool { return len(n.warming()) == 0 })
	remove()
	n.start()
	a.mustPublish()
	n.awaits("all is here", func() bool { return len(n.warming()) == 0 && got("weights-2") >= model["weights-2"] })
	fake.Inject(fakeregistry.Fault{Reset: true})
	for name, text := range content {
		a.mustHold(name, text)
	}
	if got("weights-1") != model["weights-1"] {
		t.Errorf("%d bytes of weights-1 were fetched, which was here", got("weights-1"))
	}
}

// What serves a volume is killed while all of it is fetched ahead: the pod gets one that
// can be read.
func TestServingProcessIsKilledWhileWarming(t *testing.T) {
	t.Parallel()
	fake, reference, content, got := serveModel(t)
	until := make(chan struct{})
	fake.Inject(fakeregistry.Fault{Path: "/blobs/", Hang: true, CutAt: 1000, Until: until})
	n := newNode(t, "--timeout=5m")
	a := n.pod("a", map[string]string{"reference": reference, "warm": "before"})
	published := make(chan error, 1)
	go func() { published <- a.publish() }()
	n.awaits("content is asked for", func() bool { return got("weights-1") > 0 })
	warming := n.warming()
	for _, pid := range n.processes() {
		if slices.Contains(warming, pid) {
			continue
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	n.awaits("no process serves", func() bool { return len(n.processes()) == len(warming) })
	close(until)
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	a.mustHold("weights-1", content["weights-1"])
	a.mustBeWell()
}
