// Package images owns what is open of images and of archives by themselves: it
// opens them when somebody looks into them, and holds them while they are used.
//
// It knows neither FUSE nor the network nor what a manifest is: what an image is
// made of it is told by a [Maker]. How layers become a tree is package archive's.
//
// # Who owns what
//
//	images.go    which images are held, and how much memory that takes
//	image.go     one image: what is asked of it, and its tree
//	indexing.go  what is being opened, to be told
//	opening.go   one image on its way: its layers
//	early.go     what of it is sure before all is known
//	layer.go     one layer: open, being indexed, or held for the next who needs it
//	waiters.go   who waits for an opening; without any it ends
//	room.go      the memory that openings take, bounded over the mount
//	pass.go      the part of it that a layer takes while it is read through
//	failures.go  what didn't open and won't the next time
//	file.go      one open file, which holds its layer
//	ranges.go    what has to be read of the layers for some files, without a file open
//
// # What holds
//
// Memory: what is held is within a quarter of what the mount may use, and what
// openings take for a while within all of it; what needs more is refused with
// [archive.ErrTooLarge]. A pass asks for what it makes as that grows; where all of them
// wait for each other, one goes beyond the bound until it ends, and so does one more
// for each 5 seconds in which nothing is given back. Beyond the bound are the layers of
// files that are open.
//
// An opening goes on as long as somebody waits for it, has a file of it open, or
// looked into it within [Linger]. A layer that two images have is opened once.
//
// Before all layers are known a path is answered only where none that isn't can
// change it ([archive.Tree.Sure]). What a pass has come by is given out while it
// goes on and by nobody else: it isn't kept, and files of it end with a pass that
// fails.
package images
