package fs

import (
	"context"

	"github.com/orasfs/orasfs/fs/archive"
	"github.com/orasfs/orasfs/fs/artifact"
)

// opens tells whether layer i can be opened. A listing asks nobody, so it goes by
// what the manifest says, and leaves out a layer of which that doesn't tell;
// whoever names the directory of such a one gets it if the layer's first bytes
// are an archive's.
func (a *repositoryArtifact) opens(ctx context.Context, i int) (bool, error) {
	if guess := a.LayerNames[i].Archive; guess != artifact.PerhapsArchive {
		return guess == artifact.IsArchive, nil
	}
	desc := a.Layers[i]
	return ask(ctx, a.repo.tree, "archive "+a.repo.name+"@"+desc.Digest.String(), func(ctx context.Context) (bool, error) {
		blob, err := a.repo.openRead(desc)
		if err != nil {
			return false, err
		}
		defer func() { _ = blob.Close() }() // it was only read
		return archive.IsArchive(ctx, blob, desc.Size)
	})
}
