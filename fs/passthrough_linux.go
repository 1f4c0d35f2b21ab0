package fs

import "golang.org/x/sys/unix"

// mayPassthrough tells whether the kernel lets this process give it files to
// read by itself. It asks for CAP_SYS_ADMIN, and since 6.9 it can at all, which
// it says itself when it is mounted.
func mayPassthrough() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData // of 32 capabilities each
	return unix.Capget(&header, &sets[0]) == nil && sets[0].Effective&(1<<unix.CAP_SYS_ADMIN) != 0
}
