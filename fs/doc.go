// Package fs is the tree that a mount shows: one file for each kind of node.
//
// It knows what a name in the tree means and what the kernel may keep of it.
// It doesn't know how a registry is asked (package resolver), where bytes are kept
// (package cache), what a manifest's layers are called (package artifact), what is
// in an archive (package archive) or open of one (package images), or in a layout
// (package export), or who vouches for a manifest (package signed); it wires them
// together.
//
// # The tree
//
//	MOUNTPOINT/                                namespace.go
//	└── library/                               a part of a repository's name
//	    └── nginx/                             a repository; it may hold further ones
//	        ├── _tags/                         tags.go
//	        │   └── 1.27 -> ../_manifests/sha256/5f05…
//	        ├── _manifests/                    manifests.go
//	        │   └── sha256/
//	        │       └── 5f05…/                 manifest.go; immutable
//	        │           ├── manifest.json      document.go
//	        │           ├── config.json        blob.go; config where it isn't JSON
//	        │           ├── files/             files.go; titled layers, oras' directories
//	        │           │                      unpacked (merged.go), a Helm chart
//	        │           │                      (chart.go), models
//	        │           ├── layers/            layers.go; every layer in order, raw
//	        │           │   └── 00/            entry.go; the same, opened
//	        │           ├── rootfs/            view.go; an image's layers applied
//	        │           ├── platforms/         platforms.go; of an index
//	        │           ├── referrers/         referrers.go; what refers to it, by type
//	        │           ├── subject -> ../a948…
//	        │           ├── layout/            layout.go, layoutblobs.go, layoutfile.go
//	        │           └── layout.tar         layouttar.go; the same as a tar
//	        └── _blobs/                        blobs.go
//	            └── sha256/
//	                └── e4ff…                  blob.go
//
// Layers without a title have the names that the tools of their format give
// them: package artifact has a list of those. One that a layer holds as an archive
// of one file is a file all the same (archivedfile.go). Where layers lead to the
// same place in files/, they are there as if written one after the other, as oras
// pull --concurrency 1 does it: of two files the later layer's, directories merged.
// Where oras gives up, since one is a file and the other a directory, what the
// manifest names is shown, or else the later layer's.
//
// A document that can't be parsed, or is of a kind that isn't known, has its
// manifest.json and nothing more to show. A layer that the manifest doesn't describe
// so that it could be had is left out with a line in the log: the others keep their
// numbers, and what they would make together is an error.
//
// An index has its manifest.json, its platforms, and links to what the manifest
// for the host has. Names that aren't listed but resolve:
// NAME:TAG and NAME@DIGEST beside NAME, TAG and ALGORITHM:HEX in _manifests,
// ALGORITHM:HEX in _blobs, all of them links, and everything that the registry
// can't or doesn't list.
//
// What is there is decided by evidence (resolver/evidence.go), and a list is asked for
// only by who lists. So any name that a repository may have can be walked through:
// something below it may be there. One of which the registry denies that it is a
// repository, and lists nothing below, can't be opened; mkdir of one is EEXIST. A manifest that a tag stands
// for, an index lists or a referrer is, is a directory without a request; its time
// is 1970 until it has been read.
//
// What registries said is noted on disk, so that a mount that is made in an outage
// has names for what the cache holds: remembered.go. Who writes it is notebook.go, and
// what of it tells which repositories the cache has content of is holders.go.
//
// _tags lists the tags of the registry, or those that were met where it has no list, and who looks at one after the other has
// those that follow resolved ahead (tagsahead.go). _manifests and _blobs what this mount
// has met, a bounded number of each.
//
// A mount of every registry has a directory for each host (registries.go). It
// asks a host when that is named, and lists those that it has met.
//
// A mount of a local OCI image layout is a repository at the root (local.go). Its
// _manifests lists all that its index does, and its blobs aren't written to the
// disk cache.
//
// A mount of one artifact shows what its files/, rootfs/ or layout/ shows, at its
// root (pinned.go). One that follows a tag (followed.go) has that in a directory for
// each manifest that the tag has led to, and at its root links, which all go by one:
//
//	MOUNTPOINT/
//	├── ..data -> ..5f05…                      what the tag means now; all switches with it
//	├── ..5f05…/                               what a mount of that manifest shows
//	└── NAME -> ..data/NAME                    for each name at the top of that
//
// Older manifests are there, and not listed. Where content has a name that begins with
// two dots at its top, that has no link. A tag that is gone is ENOENT, what it leads to
// and can't be shown so EIO, and both have a line in the log.
//
// A layout holds all that its artifact needs (package export): every manifest of an
// index, and a subject. Its tag is latest. To know what is in it, manifests are
// fetched, never blobs. What the registry lacks of it is left out, with a line in
// the log, and so are layers that aren't distributed with an image. What of it comes
// from the repository, and how long it holds, is in layoutcontent.go.
//
// What is in an archive is found out by package archive when somebody looks into
// it, and kept in the cache; what is open of it package images owns (image.go is
// what it is told). Who looks for rootfs has what comes next asked for beside the config
// (imageahead.go). Listing a manifest's directory reads nothing of its layers. So which
// of them are listed opened goes by what the manifest says; one of which that doesn't
// tell is opened when it is named, if it is an archive (openable.go).
//
// # Attributes
//
// The mount is read-only, nosuid and nodev. Files are 0444, directories 0555,
// owned by whoever mounted, or by Options.UID and GID. Sizes are the descriptors', so that they cost no
// request. Times are the manifest's org.opencontainers.image.created, else the
// image config's created, else 1970. Extended attributes are those of
// descriptors and manifests: xattr.go.
//
// Entries of archives have the archive's own modes, owners, times and extended
// attributes. Setuid bits are shown, and nosuid disarms them. A directory that
// shows an archive (rootfs, layers/00) has the manifest's attributes until
// somebody looks into it, and from then on the archive's own, and one that is merged, or a chart's, always.
// Those modes and owners keep nobody out who reaches the mount, unless it has
// default_permissions: access(2) says so too (inode.go).
//
// # Identity
//
// Which objects are one inode says identity.go. A layer of a manifest is one inode under files/ and layers/, a blob by digest is one inode under
// _blobs/ and in every layout of the repository. Two manifests don't share the
// inode of a layer, because its annotations and its time are theirs; below the
// kernel they share the cached bytes.
//
// A file of an archive is one inode in whatever image of a registry its layer is,
// unless other layers have a part in it. So two tags of an
// image share the files of their base, and diff doesn't read them.
//
// # What is shown
//
// The cache is shared by all that is mounted, and what it holds of one repository
// isn't shown under another unless that is known to have it: known.go.
//
// # What may be read
//
// With Options.Verifier, only what is signed: a manifest is asked about once for as long
// as tags live, by its digest, and a denial is EACCES on every way to its content. Names
// are listed all the same. An index is asked about before one of its manifests is chosen,
// and vouches for those; a manifest that is signed itself needs no index. What refers to
// something that may be read can be looked at, by its digest and by cosign's tags of it,
// and vouches for nothing: neither a tag leads to it, nor is a table of contents used
// that somebody put beside an image. A blob by digest needs a manifest that may be read,
// and that this mount has looked into. gate.go decides, vouched.go remembers what belongs
// to what, attached.go has what is beside a manifest, package signed asks who vouches.
//
// What was allowed is noted on disk for Options.MaxStale, for when the registry is down,
// under what verifies: other keys and programs ask again. What the kernel knows of names
// it goes on to know, and whatever is open stays open; opening asks.
//
// # What the kernel keeps
//
// What a digest names holds for ever, tags, names and referrers for the tags'
// time to live, and so does a blob's size that only HEAD told (sizehint.go), and
// names that aren't there for some seconds. What goes by a tag that is followed holds
// until that is asked again, so that it is never older than the tag may be. All pages of an inode are of one
// content, verified or not, and go when that turns out to be wrong: pages.go. A
// large blob that is whole on disk, and verified, root's kernel reads by itself
// (passthrough).
//
// The pages of a small file of an archive go to the kernel with the file's first open,
// where they are in memory (pagesahead.go).
//
// # Waiting
//
// A program waits for twice Options.Timeout at most, whatever a registry does, and
// not at all once it is interrupted; opening a file waits for no registry, but to be told
// who vouches for it (gate.go). Two
// things may take longer, as long as bytes arrive: a blob that is verified as a
// whole before its first byte, and the first look into a layer that has to be read
// through.
//
// # Goroutines, and what outlives a request
//
// A request of the kernel runs in a goroutine of go-fuse. What outlives it runs
// under the tree's context, which ends with the mount: what several ask for at the
// same time (ask, await in tree.go), listings (directory.go), what is asked ahead or
// again, and openings of archives (package images), which end by themselves some
// seconds after nobody waits for them. All of it goes through one door, tree.run in
// guard.go, so that the end of the mount waits for it. What a program is told it
// doesn't wait for in vain: who is interrupted leaves, and the work goes on for
// others, or for the program's next attempt.
//
// A panic, in a request or behind it, is an EIO and a line in the log with its
// stack (guard.go): a bug costs the request that meets it.
//
// # Locks
//
// Each guards the fields below it, for as long as those are looked at. None is held
// while a registry, a disk or another goroutine is waited for, and none is taken
// by what holds another, but in package images: there Images.mu is taken first.
//
// # Limits
//
// A name has at most 255 bytes. Titles that can't be a path below files/ are
// left out, with a line in the log; the layer is in layers/ all the same. Hard
// link counts are 1 although an inode may have two names, but those of an
// archive's files are right; a directory's is 1 whatever it holds. Extended attributes are at most 64 KiB each and 64
// KiB of names; what is longer stays in manifest.json. A layer of more than a
// million entries isn't opened (package archive has its bounds), nor an image that
// takes more memory than Options.Memory: some 400 bytes for each entry of its layers
// while they are applied. Nor are more than
// 16 layers that are unpacked into one directory of files/, nor a chart of more
// than 20,000 entries. An artifact of more than 1,024 manifests, 64 MiB of them or
// 20,000 blobs has no layout: its directory is there, and an error. A host's port
// puts a colon into the path of a mount of every registry, which tar and skopeo
// take for something else: they want a path from below.
//
// # Ahead of use
//
// What a mount would show can be brought into the cache without one: contents.go is what
// of an artifact is wanted, selection.go which blobs that takes, and which parts of them,
// contentpart.go how each comes and whether it is here. All of it goes the ways of a
// mount, so that one that is running, or is made in an outage, finds it.
//
// # What is counted
//
// The kernel's requests, what they took and what they read: requests.go. Who asks gets
// numbers ([Server.Stats]) and what is being indexed ([Server.Indexing]); what is made of
// them isn't this package's.
//
// # Errors
//
// errno.go is the only place where an error becomes what a program sees, and
// where the line for the log is written.
package fs
