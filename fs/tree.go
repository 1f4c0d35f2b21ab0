package fs

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/hashicorp/golang-lru/v2"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/singleflight"

	"github.com/orasfs/orasfs/cache"
	"github.com/orasfs/orasfs/fs/images"
	"github.com/orasfs/orasfs/resolver"
)

// Bounds of what a mount remembers. They bound memory, not what can be read:
// what was forgotten is asked for again.
const (
	maxRegistries   = 64
	maxNames        = 4096
	maxTags         = 16384
	maxReferrers    = 64 // manifests whose referrers are remembered
	maxRepositories = 1024
	maxEntries      = 4096 // layers of which entries were met
	maxSOCI         = 256  // manifests whose SOCI index is remembered
)

// A tree is what all nodes of one mount share.
type tree struct {
	connect func(ctx context.Context, host string) (*resolver.Registry, error)
	cache   *cache.Cache
	log     *slog.Logger
	owner   fuse.Owner

	requests   requests
	complaints *complaints
	remark     string // for who mounts; set before anything is served
	spent      *spent

	// passthrough is that the kernel reads complete blobs by itself. It is set
	// before anything is served.
	passthrough bool

	platform ocispec.Platform // of the host, or who is asked for
	tagTTL   time.Duration
	maxStale time.Duration
	// patience bounds an operation that outlives the request that began it.
	patience time.Duration

	outages      outages
	again        again
	ahead        tagsAhead
	hosts        *answers[*registry]
	names        *answers[resolver.Kind]
	tags         *answers[digest.Digest]
	referrers    *answers[referrers]
	soci         *answers[map[digest.Digest]ocispec.Descriptor]
	registries   *lru.Cache[string, *registry]
	repositories *lru.Cache[string, *repository]
	artifacts    *artifacts
	charts       *lru.Cache[*images.Tree, *chart]
	layouts      *lru.Cache[string, *layoutContent]
	evidence     *evidence
	remembered   *remembered
	gate         *gate // nil where everything may be read
	images       *images.Images
	entries      *lru.Cache[layerEntries, fusefs.StableAttr]

	// ctx ends with the mount.
	ctx    context.Context
	cancel context.CancelFunc
	once   singleflight.Group

	// mu guards closed, and with it that nothing is added to running once
	// close waits for it.
	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

func newTree(ctx context.Context, o Options) *tree {
	t := &tree{
		connect:  o.Connect,
		cache:    o.Cache,
		log:      o.Log,
		owner:    o.owner(),
		platform: o.Platform,
		tagTTL:   o.TagTTL,
		maxStale: o.MaxStale,
		patience: 2 * o.Timeout,
		spent:    newSpent(),

		complaints: newComplaints(o.Log),

		passthrough: o.Passthrough && mayPassthrough(),
	}
	t.ctx, t.cancel = context.WithCancel(ctx)
	t.outages = outages{newLRU[string, struct{}](maxRegistries)}
	t.again = again{tree: t, hosts: map[string]*refresh{}}
	t.ahead = tagsAhead{tree: t}
	t.evidence = newEvidence(t)
	t.remembered = newRemembered(t)
	t.gate = newGate(t, o.Verifier)
	t.hosts = newNameAnswers[*registry](t, "host", maxRegistries)
	t.names = newNameAnswers[resolver.Kind](t, "name", maxNames)
	t.tags = newAnswers[digest.Digest](t, "tag", maxTags)
	t.referrers = newAnswers[referrers](t, "referrers", maxReferrers)
	t.soci = newAnswers[map[digest.Digest]ocispec.Descriptor](t, "SOCI index", maxSOCI)
	t.registries = newRegistries()
	t.repositories = newLRU[string, *repository](maxRepositories)
	t.artifacts = newArtifacts()
	t.charts = newLRU[*images.Tree, *chart](maxCharts)
	t.layouts = newLRU[string, *layoutContent](maxLayouts)
	t.entries = newLRU[layerEntries, fusefs.StableAttr](maxEntries)
	t.images = images.New(images.Options{
		Memory: o.Memory, Lend: o.lend, Store: o.Cache, Log: o.Log, Context: t.ctx, Run: t.run,
	})
	return t
}

// newLRU exists because a constant positive size can't fail.
func newLRU[K comparable, V any](size int) *lru.Cache[K, V] {
	c, err := lru.New[K, V](size)
	if err != nil {
		panic(err)
	}
	return c
}

// close ends everything that the tree began and waits for it.
func (t *tree) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.cancel()
	t.running.Wait()
	t.images.Close()
	t.complaints.flush()
	t.registries.Purge()
}

// begin counts one more thing that runs under the tree's context, unless the
// tree is closed. The one who began it calls running.Done.
func (t *tree) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.running.Add(1)
	}
	return !t.closed
}

// ask runs do once for all who ask for the same key at the same time, and
// waits for it or for the asker to be interrupted.
//
// do outlives the asker, because it may work for others too, and because a
// program that is interrupted over and over (Go's runtime signals its threads,
// and the kernel turns that into an interrupt of the request) must find its
// question further along each time it comes back. So do must put its answer
// where the next asker looks first.
func ask[T any](ctx context.Context, t *tree, key string, do func(context.Context) (T, error)) (T, error) {
	return await(ctx, t, key, func(ctx context.Context) (T, error) {
		ctx, cancel := context.WithTimeout(ctx, t.patience)
		defer cancel()
		return do(ctx)
	})
}

// await is ask for what may take as long as it makes progress: a layer that is
// read as a whole. What it waits for has deadlines of its own.
func await[T any](ctx context.Context, t *tree, key string, do func(context.Context) (T, error)) (T, error) {
	var none T
	result := t.once.DoChan(key, func() (any, error) {
		if !t.begin() {
			return none, context.Canceled
		}
		defer t.running.Done()
		var value T
		err := t.guarded(func() (err error) {
			value, err = do(t.ctx)
			return err
		})()
		return value, err
	})
	select {
	case r := <-result:
		if r.Err != nil {
			return none, r.Err
		}
		value, ok := r.Val.(T)
		if !ok {
			return none, fmt.Errorf("%s: answered with a %T", key, r.Val)
		}
		return value, nil
	case <-ctx.Done():
		return none, ctx.Err()
	}
}
