//go:build linux

// Orasfs-csi shows artifacts of OCI registries as Kubernetes volumes: it is the node
// plugin of a CSI driver (CSI 1.13), csi.orasfs.github.io. What is read of a volume is
// fetched then, verified, into one cache for all pods of the node.
//
//	orasfs-csi --endpoint unix://PATH --node-id NAME [--runner systemd|child] [flags]
//
// It has orasfs do what concerns registries, files and the cache, and imports none of it:
// it says which artifact is to be mounted (attributes.go), has a process of orasfs serve
// it (sources.go), and binds that mount, or a directory of it, to where kubelet wants the
// volume (publish.go, unpublish.go, bind.go). deploy has what installs it.
//
// # Volumes
//
// A volume is inline in a pod (csi.volumeAttributes), or a PersistentVolume, whose
// volumeHandle is the reference. It can only be read, and has to say so: readOnly: true.
// Its attributes are these; any other is refused.
//
//	reference     HOST/NAME:TAG or HOST/NAME@DIGEST
//	view          files, rootfs or layout: what orasfs mount --view shows
//	platform      OS/ARCH[/VARIANT]: which of an index (the node's)
//	subPath       a directory of that alone; links in it lead nowhere else
//	warm          before: all is fetched before the pod starts; background: while it runs;
//	              none: what is read (the default)
//	include       patterns of what warm fetches, separated by commas or ends of lines
//	exclude       patterns of what it leaves out
//	verify        full: each blob is checked before its first byte; lazy (the default)
//	follow        true: the volume shows what the tag means now, within its tag-ttl, by one
//	              link that is switched at once, as a ConfigMap does
//	plainHTTP     true or false
//	mountOptions  default_permissions, noexec, uid=, gid=, tag-ttl=, max-stale=,
//	              concurrency=, passthrough=: with commas; a PersistentVolume's mountOptions
//	              as well
//
// A pod's fsGroup is the group of all files that have no owner of their own.
//
// # Credentials
//
// They are those of the volume's secret (nodePublishSecretRef, of type
// kubernetes.io/dockerconfigjson), or else the node's own. A secret's programs
// (credHelpers, credsStore) are left out: they would run on the node. The node's own
// aren't sent over plain HTTP that a volume asks for. Credentials are kept in a ramfs,
// never on disk (secrets.go), and kubelet brings them anew while a pod runs.
//
// Volumes share a process where they want the same with the same credentials, and pods
// with secrets only in one namespace. All share the cache, and none sees what its own
// credentials don't let it: orasfs shows a digest only to those whom the registry has
// shown it to.
//
// # What survives what
//
// Nothing that a volume needs is in the driver's memory. Each is noted in --state-dir
// before anything is done for it (volumes.go), and there is one driver at a time
// (driver.go): one that starts takes over what it finds, forgets volumes whose pods are
// gone and ends what nobody uses.
//
//   - The driver ends, is killed or upgraded: pods read on. With --runner systemd
//     (systemd.go) the processes that serve them are the node's own transient units. With
//     --runner child (child.go) they are in a session of their own, but in a container
//     they end with it: that is for drivers which aren't in one. What is fetched ahead
//     (warm.go) ends with the driver, and goes on when the volume is published next, which kubelet
//     does every minute or so.
//   - A new version: processes that serve go on with the program they have; new volumes
//     have the new one.
//   - A serving process dies: its volumes say "transport endpoint is not connected", and
//     NodeGetVolumeStats's volume condition (and NodeGetVolumeHealth) says why (health.go,
//     statmount.go). When kubelet publishes them next another process serves them at the
//     same place. A container that runs doesn't see that, unless its volumeMounts has
//     mountPropagation: HostToContainer; one that starts does.
//   - The registry is down: what was read once goes on being read, as with any mount.
//   - The disk is full: what is published goes on, with what is in the cache. A new
//     volume is refused, and leaves nothing.
//   - The node starts anew: the notes are there, the mounts aren't; kubelet publishes
//     what it needs again.
//
// Whoever may write to the socket, --state-dir or the node's systemd is root there.
package main
