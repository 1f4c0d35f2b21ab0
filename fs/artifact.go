package fs

import (
	"context"
	"maps"

	"github.com/orasfs/orasfs/fs/artifact"
	"github.com/orasfs/orasfs/resolver"
)

// A repositoryArtifact is a manifest of a repository, and what its directory
// shows of it. It is made once for a manifest and doesn't change.
type repositoryArtifact struct {
	*resolver.Manifest
	*artifact.Artifact
	repo *repository
}

// describe makes the artifact of a manifest.
func (r *repository) describe(ctx context.Context, m *resolver.Manifest) *repositoryArtifact {
	described := artifact.Manifest{
		Config: m.Config, Layers: m.Layers, Manifests: m.Manifests, Annotations: m.Annotations, Content: m.Content,
	}
	log := r.tree.log.With("reference", r.reference(m.Digest.String()))
	return &repositoryArtifact{Manifest: m, Artifact: artifact.Describe(ctx, described, r.small, log), repo: r}
}

// reference names the artifact in errors.
func (a *repositoryArtifact) reference() string { return a.repo.reference(a.Digest.String()) }

// xattrs are the extended attributes of the manifest's directory.
func (a *repositoryArtifact) xattrs() xattrs {
	x := annotations(a.Annotations)
	maps.Copy(x, describe(a.Digest, a.MediaType, a.Size))
	if a.ArtifactType != "" {
		x["user.oci.artifactType"] = a.ArtifactType
	}
	if a.Platform != "" {
		x["user.oci.platform"] = a.Platform
	}
	return x
}
