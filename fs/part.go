package fs

import (
	"context"
	"sync/atomic"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/resolver"
)

// A manifestPart is what a manifest's directory and those in it are made of. It
// holds no more than what attributes need: the rest is the artifact, which is
// read again if it was forgotten.
type manifestPart struct {
	node
	repo   *repository
	digest digest.Digest
	time   *moment
}

// A moment is a manifest's time, once the manifest has been read. All that is made
// of the manifest has the same.
type moment struct{ known atomic.Pointer[time.Time] }

func newMoment(t time.Time) *moment {
	m := &moment{}
	m.settle(t)
	return m
}

// settle takes the time of a manifest that has been read. It is a copy: a pointer into
// what was read would keep that.
func (m *moment) settle(t time.Time) {
	if m != nil {
		m.known.Store(&t)
	}
}

// get is the time, and whether it is known. A nil moment never is.
func (m *moment) get() (t time.Time, known bool) {
	if m == nil {
		return t, false
	}
	if p := m.known.Load(); p != nil {
		return *p, true
	}
	return t, false
}

// created is the manifest's time, the zero value until it is known.
func (p *manifestPart) created() time.Time {
	t, _ := p.time.get()
	return t
}

// Getattr implements fusefs.NodeGetattrer.
func (p *manifestPart) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	p.tree.directory(&out.Attr, p.created())
	out.SetTimeout(forever)
	return 0
}

// reference names the manifest in errors and in the log.
func (p *manifestPart) reference() string { return p.repo.reference(p.digest.String()) }

// artifact is what the manifest says; ahead are as repository.artifact takes them.
func (p *manifestPart) artifact(ctx context.Context, ahead ...func(*resolver.Manifest)) (*repositoryArtifact, syscall.Errno) {
	a, err := p.repo.artifact(ctx, p.digest, ahead...)
	if err == nil {
		p.time.settle(a.Created)
	}
	return a, p.tree.errno(ctx, "read manifest", p.reference(), err)
}

// below is what a directory in this one is made of.
func (p *manifestPart) below() manifestPart {
	return manifestPart{node: node{tree: p.tree}, repo: p.repo, digest: p.digest, time: p.time}
}

// newPart makes the inode of a directory of the manifest in this one, which the
// kernel may keep for the time valid.
func (p *manifestPart) newPart(ctx context.Context, part fusefs.InodeEmbedder, id fusefs.StableAttr, valid time.Duration, out *fuse.EntryOut) *fusefs.Inode {
	return p.newDirectory(ctx, part, id, p.created(), valid, out)
}
