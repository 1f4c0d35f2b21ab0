package fs

import (
	"bytes"
	"encoding/binary"
	"syscall"
	"testing"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// The kernel's requests that the tests send (fuse_kernel.h).
const (
	opLookup  = 1
	opInit    = 26
	opOpendir = 27
)

// A kernel speaks the kernel's protocol with the nodes of a tree: it is told what
// the kernel is told.
type kernel struct {
	t      *testing.T
	server *fuse.ProtocolServer
	unique uint64
	agreed initOut
}

// initOut is the beginning of fuse_init_out.
type initOut struct {
	Major, Minor, MaxReadAhead, Flags uint32
	MaxBackground, Congestion         uint16
	MaxWrite, TimeGran                uint32
	MaxPages, MapAlignment            uint16
	Flags2                            uint32
}

// newKernel mounts a node that is to be the root, for a kernel that can do
// everything.
func newKernel(t *testing.T, root fusefs.InodeEmbedder, options *fusefs.Options) *kernel {
	t.Helper()
	k := &kernel{t: t, server: fuse.NewProtocolServer(fusefs.NewNodeFS(root, options), &options.MountOptions)}
	in := struct {
		Major, Minor, MaxReadAhead, Flags, Flags2 uint32
		_                                         [11]uint32
	}{Major: 7, Minor: 41, MaxReadAhead: 128 << 10, Flags: 1<<32 - 1, Flags2: 1<<32 - 1}
	if errno := k.ask(opInit, 0, in, "", &k.agreed); errno != 0 {
		t.Fatal(errno)
	}
	return k
}

// ask sends a request about a node, with arguments and a name, and reads the answer
// into out.
func (k *kernel) ask(opcode uint32, node uint64, in any, name string, out any) syscall.Errno {
	k.t.Helper()
	k.unique++
	var request bytes.Buffer
	put := func(v any) {
		if err := binary.Write(&request, binary.NativeEndian, v); err != nil {
			k.t.Fatal(err)
		}
	}
	put(struct {
		Length, Opcode  uint32
		Unique, Node    uint64
		UID, GID, PID   uint32
		Extlen, Padding uint16
	}{Opcode: opcode, Unique: k.unique, Node: node})
	if in != nil {
		put(in)
	}
	if name != "" {
		request.WriteString(name + "\x00")
	}
	binary.NativeEndian.PutUint32(request.Bytes(), uint32(request.Len())) //nolint:gosec // some hundred bytes
	answer := make([]byte, 4096)
	n, status := k.server.HandleRequest([][]byte{request.Bytes()}, [][]byte{answer})
	const header = 16 // fuse_out_header
	if !status.Ok() || n < header {
		k.t.Fatalf("no answer: %d bytes, %v", n, status)
	}
	if errno := -int32(binary.NativeEndian.Uint32(answer[4:])); errno != 0 { //nolint:gosec // that is how it is sent
		return syscall.Errno(errno) //nolint:gosec // an errno is positive
	}
	if err := binary.Read(bytes.NewReader(answer[header:n]), binary.NativeEndian, out); err != nil {
		k.t.Fatal(err)
	}
	return 0
}

// lookup looks a name up; a node of 0 is that it isn't there.
func (k *kernel) lookup(node uint64, name string) (out fuse.EntryOut) {
	k.t.Helper()
	if errno := k.ask(opLookup, node, nil, name, &out); errno != 0 {
		k.t.Fatalf("%s: %v", name, errno)
	}
	return out
}

// opendir is how go-fuse tells the kernel to open a directory.
func (k *kernel) opendir(node uint64) uint32 {
	k.t.Helper()
	var out struct {
		Handle         uint64
		Flags, Padding uint32
	}
	if errno := k.ask(opOpendir, node, struct{ Flags, Unused uint32 }{}, "", &out); errno != 0 {
		k.t.Fatal(errno)
	}
	return out.Flags
}
