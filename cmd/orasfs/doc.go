// Orasfs mounts OCI registries as a file system.
//
//	orasfs mount [flags] [TARGET] MOUNTPOINT
//	orasfs umount [--lazy] MOUNTPOINT
//	orasfs warm [flags] TARGET[/PATH]...
//	orasfs status [--watch] [--format json] [MOUNTPOINT]
//	orasfs cache info|verify|prune
//	orasfs version
//	orasfs completion SHELL
//
// TARGET is HOST[:PORT] for a whole registry, HOST[:PORT]/NAME for a namespace or
// a repository of it, or HOST[:PORT]/NAME:TAG (or @DIGEST) for one artifact, which
// stays the one that the tag means when it is mounted. With --follow the mountpoint shows
// what the tag means now: all names at its top are links by way of one, ..data, which
// switches within --tag-ttl to the directory of another manifest, as in a volume of
// Kubernetes' ConfigMaps. Without TARGET, or with "none"
// in its place, the mount shows every registry. With --oci-layout it is
// PATH[:TAG|@DIGEST], an OCI image layout or what docker save wrote. What the
// mountpoint then shows is described in package fs.
//
// mount returns once the mount answers; a daemon goes on behind and logs to a
// file in the cache directory, where the logs of ended mounts stay for a while
// (oldlogs.go). With --foreground it is the command itself that
// serves the mount, and the log is its standard error.
//
// A flag's value is the first of: the flag itself, its name in -o, the
// environment (--cache-size is ORASFS_CACHE_SIZE), its name in ORASFS_OPTIONS,
// the default. One that can be repeated has all of its values from the first of
// these; in the environment each is a line.
//
// What the process list must not show comes from standard input or the
// environment: a password or token, and headers (ORASFS_HEADER). The daemon is
// given them through a pipe. HOME is the user's own also where it isn't set, or is
// root's (home.go).
//
// uid=N and gid=N in -o say who owns what has no owner of its own; they are mount
// options as other file systems have them, and no flags.
//
// mount(8) and fstab work with the type fuse.orasfs: what mount.fuse3 runs,
// "orasfs TARGET MOUNTPOINT -o OPTIONS", mounts too, and so does what mount(8) calls
// mount.orasfs or mount.fuse.orasfs (mounthelper.go). A service of Type=notify is told
// how its mount is (notify.go). Where a daemon has died mount takes its mount away
// (revive.go).
//
// Each daemon has a socket, with mode 0600 in a directory of the user's own: in
// $XDG_RUNTIME_DIR/orasfs, else, for root, /run/orasfs, else in the temporary directory
// (runtimedir.go, statussocket.go). status asks there; of a mount whose daemon is dead,
// or doesn't answer, it says so, and the exit code is 1. With --metrics-addr a daemon
// serves /metrics for Prometheus (metrics.go), /healthz (health.go), which asks the mount
// in a process of its own, and with --pprof /debug/pprof. What these show other packages
// count, who know nothing of it: statuspage.go and metrics.go put it together, monitor.go
// serves it.
//
// warm brings what TARGETs consist of into the cache directory (warm.go; which files
// globs.go says, what fs makes of it package fs). It is refused before anything is
// fetched where there is no room. How it goes is shown by bars on a terminal (bars.go),
// by a line for each part elsewhere, and what became of it by warmreport.go: what is here
// is looked at in the end, and not taken from what was done. What can't be had is listed,
// the rest is fetched all the same, and the exit code is 1.
//
// Mirrors are those of containerd's hosts.toml (--hosts-dir). A hangup (SIGHUP) has
// them, credentials and certificates read again at once; it ends a mount in the
// foreground of a terminal (reload.go).
//
// With --verifier-dir or --verify-key only what is signed can be read (package signed has
// by what); with both, both have to allow. Keys are read when it is mounted, programs run
// whenever they are asked, as the user of the daemon and without what is for orasfs in
// the environment.
//
// The exit code is 0, 1 for a failure, or 2 for a command line that can't be
// run.
package main
