package fs

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/fs/archive"
	"github.com/orasfs/orasfs/fs/artifact"
	"github.com/orasfs/orasfs/fs/images"
)

// A chartNode is a Helm chart as helm pull --untar writes it, or a directory in
// it. Its files are those of the layer's archive, under the names that Helm gives
// them (artifact.ChartPath), with the archive's own attributes.
type chartNode struct {
	manifestPart
	layer int
	path  []string // from the chart to this directory
}

var (
	_ fusefs.NodeGetattrer      = (*chartNode)(nil)
	_ fusefs.NodeLookuper       = (*chartNode)(nil)
	_ fusefs.NodeOpendirHandler = (*chartNode)(nil)
)

// Bounds of what is remembered of charts.
const (
	maxCharts = 16
	// maxChartEntries bounds the entries of a chart's archive. Large charts have
	// some thousand, and Helm reads 100 MiB at most.
	maxChartEntries = 20_000
)

// A chart is the files of a chart, and the tree that they are of.
type chart struct {
	tree *images.Tree
	root *chartFolder
}

// A chartFolder is a directory of a chart.
type chartFolder struct {
	names    []string
	children map[string]chartEntry
}

// A chartEntry is a directory of a chart, or what its archive has there.
type chartEntry struct {
	folder *chartFolder
	file   archive.Node
}

// chart is the chart in a manifest's layer.
func (r *repository) chart(ctx context.Context, manifest digest.Digest, layer int) (*chart, error) {
	tree, err := imageLayers{r, manifest, layer}.tree(ctx)
	if err != nil {
		return nil, err
	}
	if c, ok := r.tree.charts.Get(tree); ok {
		return c, nil
	}
	u := chartUnpacker{root: newChartFolder(), skipped: func(name string, err error) {
		r.tree.log.Warn("file left out of the chart", "reference", r.reference(manifest.String()), "file", name, "error", err)
	}}
	if err := u.unpack(tree.Root()); err != nil {
		return nil, err
	}
	c := &chart{tree, u.root}
	r.tree.charts.Add(tree, c)
	return c, nil
}

func newChartFolder() *chartFolder { return &chartFolder{children: map[string]chartEntry{}} }

// A chartUnpacker gives the files of an archive the names that Helm gives them.
type chartUnpacker struct {
	root    *chartFolder
	entries int
	skipped func(name string, err error)
}

// unpack takes what is below a directory of the archive.
func (u *chartUnpacker) unpack(dir archive.Node) error {
	for child := range dir.Entries("") {
		if u.entries++; u.entries > maxChartEntries {
			return fmt.Errorf("%w: a chart of more than %d entries", archive.ErrFormat, maxChartEntries)
		}
		if child.Type() == archive.TypeDir {
			if err := u.unpack(child); err != nil {
				return err
			}
			continue
		}
		elements, err := artifact.ChartPath(child.Path())
		if err == nil {
			err = u.root.add(elements, child)
		}
		if err != nil {
			u.skipped(child.Path(), err)
		}
	}
	return nil
}

// add puts a file at a path below the folder.
func (f *chartFolder) add(elements []string, file archive.Node) error {
	for i, element := range elements {
		child, ok := f.children[element]
		last := i == len(elements)-1
		switch {
		case ok && last == (child.folder != nil):
			return fmt.Errorf("%q is a file and a directory", element)
		case !ok:
			f.names = append(f.names, element)
		}
		if last {
			f.children[element] = chartEntry{file: file}
			return nil
		}
		if !ok {
			child = chartEntry{folder: newChartFolder()}
			f.children[element] = child
		}
		f = child.folder
	}
	return nil
}

// folder is what the directory holds.
func (n *chartNode) folder(ctx context.Context) (*images.Tree, *chartFolder, syscall.Errno) {
	c, err := n.repo.chart(ctx, n.digest, n.layer)
	if err != nil {
		return nil, nil, n.tree.contentErrno(ctx, "open chart", n.reference(), err)
	}
	f := c.root
	for _, element := range n.path {
		if f = f.children[element].folder; f == nil {
			return nil, nil, n.tree.contentErrno(ctx, "open chart", n.reference(), images.ErrStale)
		}
	}
	return c.tree, f, 0
}

// view is that of the chart's archive.
func (n *chartNode) view() *view {
	return &view{imageLayers: imageLayers{n.repo, n.digest, n.layer}, created: n.created()}
}

// pathOf is the path of an entry.
func (n *chartNode) pathOf(name string) []string { return append(slices.Clip(n.path), name) }

// identity is the identity of an entry.
func (n *chartNode) identity(t *images.Tree, name string, e chartEntry) fusefs.StableAttr {
	if e.folder == nil {
		return n.view().identity(t, e.file)
	}
	return n.repo.identity(syscall.S_IFDIR, "chart", append([]string{n.digest.String(), strconv.Itoa(n.layer)}, n.pathOf(name)...)...)
}

// Lookup implements fusefs.NodeLookuper.
func (n *chartNode) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	t, f, errno := n.folder(ctx)
	if errno != 0 {
		return nil, errno
	}
	e, ok := f.children[name]
	switch {
	case !ok:
		return nil, syscall.ENOENT
	case e.folder == nil:
		return n.newEntry(ctx, n.view(), t, e.file, out), 0
	}
	child := &chartNode{manifestPart: n.below(), layer: n.layer, path: n.pathOf(name)}
	return n.newPart(ctx, child, n.identity(t, name, e), forever, out), 0
}

// OpendirHandle implements fusefs.NodeOpendirHandler.
func (n *chartNode) OpendirHandle(ctx context.Context, _ uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	t, f, errno := n.folder(ctx)
	if errno != 0 {
		return nil, 0, errno
	}
	list := make([]fuse.DirEntry, len(f.names))
	for i, name := range f.names {
		list[i] = entry(name, n.identity(t, name, f.children[name]))
	}
	return n.openImmutable(list...)
}
