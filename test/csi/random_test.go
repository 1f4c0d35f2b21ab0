//go:build linux

package csi

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/orasfs/orasfs/test/soak"
)

// seedVariable has TestRandomOrder go through what a seed says once more.
const seedVariable = "ORASFS_SEED"

// A randomVolume is one that is published, read and unpublished in random order, by one
// at a time.
type randomVolume struct {
	*pod
	mu            sync.Mutex
	file, content string
	published     bool // as far as is known
}

// TestRandomOrder has pods come and go while the driver is killed and started anew, and
// what serves volumes is killed: what can be read is right, and at the end nothing is
// left.
func TestRandomOrder(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano()) //nolint:gosec // any number does
	if given := os.Getenv(seedVariable); given != "" {
		var err error
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("once more: %s=%d", seedVariable, seed)
	n := newNode(t)
	volumes := randomVolumes(t, n, soak.Size(8, 20), soak.Size(30, 100), rand.New(rand.NewPCG(seed, 0))) //nolint:gosec // not for secrets
	var workers sync.WaitGroup
	var reads, right, left atomic.Int64
	left.Store(int64(soak.Size(200, 3000)))
	for i := range 4 {
		random := rand.New(rand.NewPCG(seed, uint64(i+1))) //nolint:gosec // not for secrets, and small
		workers.Go(func() {
			for left.Add(-1) >= 0 && !t.Failed() {
				volumes[random.IntN(len(volumes))].step(random, &reads, &right)
			}
		})
	}
	random := rand.New(rand.NewPCG(seed, 1000)) //nolint:gosec // not for secrets
	for left.Load() > 0 && !t.Failed() {
		time.Sleep(time.Duration(random.IntN(400)) * time.Millisecond)
		if random.IntN(3) > 0 {
			n.killOne(random)
			continue
		}
		n.stop(unix.SIGKILL)
		n.start()
	}
	workers.Wait()
	t.Logf("%d of %d reads found a volume that can be read", right.Load(), reads.Load())
	if right.Load() == 0 {
		t.Error("nothing was read")
	}
	for _, v := range volumes {
		v.mustPublish()
		v.mustHold(v.file, v.content)
	}
	for _, v := range volumes {
		v.mustUnpublish()
	}
	n.mustBeEmpty()
}

// randomVolumes are volumes of artifacts, each of which is chosen by several.
func randomVolumes(t *testing.T, n *node, artifacts, count int, random *rand.Rand) (volumes []*randomVolume) {
	t.Helper()
	fake, host := serve(t)
	contents := make([]string, artifacts)
	for i := range contents {
		contents[i] = noise(t, uint64(i), int64(1000+random.IntN(500_000))) //nolint:gosec // small
		repo := fmt.Sprintf("org/artifact-%d", i)
		if i%2 == 0 {
			push(fake, repo, "v1", "file", contents[i])
		} else {
			pushImage(t, fake, repo, "v1", directory("dir/"), regular("dir/file", contents[i]), regular("other", "other"))
		}
	}
	for i := range count {
		artifact := random.IntN(artifacts)
		v := &randomVolume{file: "file", content: contents[artifact]}
		attributes := map[string]string{"reference": fmt.Sprintf("%s/org/artifact-%d:v1", host, artifact)}
		if artifact%2 == 1 {
			attributes["view"] = "rootfs"
			if v.file = "dir/file"; random.IntN(2) == 0 {
				attributes["subPath"], v.file = "dir", "file"
			}
		}
		maps.Copy(attributes, []map[string]string{{}, {}, {"warm": "background"}, {"warm": "before"}, {"verify": "full"}}[random.IntN(5)])
		v.pod = n.pod(fmt.Sprintf("pod-%d", i), attributes)
		if random.IntN(3) == 0 {
			v.secrets = secret(host, "user", fmt.Sprintf("password-%d", random.IntN(2)))
		}
		volumes = append(volumes, v)
	}
	return volumes
}

// step does something with a volume.
func (v *randomVolume) step(random *rand.Rand, reads, right *atomic.Int64) {
	action := random.IntN(4)
	v.mu.Lock()
	defer v.mu.Unlock()
	var err error
	publishing := false
	switch {
	case action == 0:
		err = v.unpublish()
		v.published = v.published && err != nil
	case action == 1 || !v.published:
		publishing = true
		err = v.publish()
		v.published = v.published || err == nil
	default:
		reads.Add(1)
		got, err := v.run("cat", v.file)
		switch {
		case err == nil && got != v.content:
			v.node.t.Errorf("%s of %s: %d bytes, not the %d that it has", v.file, v.id, len(got), len(v.content))
		case err == nil:
			right.Add(1)
		}
	}
	switch {
	case err == nil || status.Code(err) == codes.Unavailable: // there is no driver, or there was none any more
	case publishing && wasKilled(err):
	default:
		v.node.t.Errorf("%s (%s): %v", v.id, v.attributes, err)
	}
}

// wasKilled says whether an error is that a process was killed while it began to serve.
func wasKilled(err error) bool {
	for _, words := range []string{"signal: killed", unix.ENOTCONN.Error(), unix.ECONNABORTED.Error(), unix.EIO.Error()} {
		if strings.Contains(err.Error(), words) {
			return true
		}
	}
	return runner == "systemd" && strings.HasSuffix(err.Error(), ": failed")
}

// killOne kills one of the processes that serve a node's volumes, if there is one.
func (n *node) killOne(random *rand.Rand) {
	n.t.Helper()
	if pids := n.processes(); len(pids) > 0 {
		if err := unix.Kill(pids[random.IntN(len(pids))], unix.SIGKILL); err != nil && err != unix.ESRCH { //nolint:errorlint // a number
			n.t.Error(err)
		}
	}
}
