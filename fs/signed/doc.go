// Package signed answers who vouches for a manifest: it is asked about a digest and
// tells who allows it, or why nobody does.
//
// It knows neither FUSE nor the network: what a repository has beside a manifest comes
// through [Attached], and what that can't tell now is [ErrUndecided], which is neither
// yes nor no.
//
// # Who vouches
//
//	programs.go       programs in a directory, as containerd's image verifiers: all have
//	                  to allow
//	keys.go           public keys, of which one is enough
//	cosign.go         where cosign keeps the signatures that such a key is for
//	simplesigning.go  what a signature of cosign 2 signs
//	bundle.go         what a signature of cosign 3 is, and signs
//
// Of several kinds all have to allow ([All]).
//
// # What holds
//
// Whatever isn't understood, is too much, takes too long or isn't there is a denial,
// never a permission: a signature counts if one of the keys made it, and if what it
// signs says the manifest's digest and that it is a signature. An attestation isn't:
// that somebody has scanned an image says nothing good of it.
//
// Transparency logs and certificates aren't looked at: who has the key vouches.
package signed
