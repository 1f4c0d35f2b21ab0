// Package export answers what an OCI image layout of an artifact holds, and what
// stands where in the tar of that layout.
//
// It knows neither FUSE nor the network: what a manifest says it gets from a
// [Manifests], and what a blob holds from a [Contents]. It asks for no blob before
// somebody reads one, and makes no file: a layout and its tar are only described.
//
//	closure.go   what belongs to an artifact
//	walk.go      how that is found
//	files.go     the files of a layout that are no blobs
//	tar.go       where everything stands in the tar
//	tarreader.go reading at any offset of it
package export
