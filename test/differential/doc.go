// Package differential holds orasfs's rootfs against two programs that apply
// layers: containerd's archive.Apply and umoci. All three are given the same
// random images, small ones in which names collide often, and what they make of
// them is compared entry by entry.
//
//	go test ./test/differential                                  some hundred images
//	ORASFS_ROUNDS=5000 go test -timeout 2h ./test/differential   so many, from a random seed on
//	ORASFS_SEED=17 go test -v ./test/differential                that image alone, with all that is known of it
//	ORASFS_SEED=17 ORASFS_ROUNDS=100 go test …                   so many from that seed on
//
// ORASFS_SHRINK is how many images that differ are made smaller (10 if it isn't
// set), and ORASFS_DISAGREED=1 shows, shrunk too, where orasfs isn't containerd's equal
// though the two others aren't each other's.
//
// # What is asked for
//
// An image is read through a mount while its layers arrive, again when the whole
// round has been read, and after a restart with the same cache directory. Where
// containerd and umoci make the same of it orasfs has to, each time. Where both
// refuse it, orasfs may refuse it or show anything, but has to answer. Where
// they disagree it is only counted how often orasfs shows what containerd does.
//
// While a layer arrives, what it says twice of one path is shown as it was said first,
// and isn't compared.
//
// Not compared are the attributes of the root directory (containerd ignores its entry), a
// directory's time where the two don't agree on it, and a directory's size and
// link count.
//
// # What is kept
//
// Seeds that failed once are in the file seeds, and what they came down to in the
// file images, in the form in which a failure prints an image. Both always run.
//
// The two libraries are here only: nothing else of orasfs may import them
// (test/layers_test.go), since they stand for a container runtime each and are
// no part of this one.
package differential
