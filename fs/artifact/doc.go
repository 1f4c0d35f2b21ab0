// Package artifact answers what the directory of a manifest shows: the names of
// its layers and platforms, the folders of files/, the time.
//
//	artifact.go     a manifest's artifact: Describe
//	format.go       the list of the formats that name layers, asked one after the other
//	title.go        ORAS: titles, and directories that are unpacked
//	modelpack.go    ModelPack, the CNCF's models
//	dockermodel.go  Docker's models
//	ollama.go       Ollama's models
//	chart.go        Helm's charts
//	modelkit.go     KitOps' ModelKits, whose layers are merged
//	folder.go       a folder of files/, and which paths can be in one
//	layername.go    the names in layers/
//	platform.go     the names in platforms/, and which manifest a host would run
//	imageconfig.go  what an image's config tells
//	mediatype.go    what a media type tells: JSON, a tar, a file's extension
//
// It goes by what the manifest says, and a config where a format has the names
// there; no layer is read. It knows neither FUSE nor the network: it is given the
// parsed manifest and a function that reads a blob ([ReadBlob]).
//
// A manifest is written by anybody. A name that can't be in a directory, or would
// lead out of it, is left out with a line in the log.
package artifact
