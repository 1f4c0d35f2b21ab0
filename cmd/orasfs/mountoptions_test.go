package main

import (
	"reflect"
	"testing"

	"github.com/spf13/pflag"
)

func TestMountOptions(t *testing.T) {
	tests := []struct {
		name   string
		values []string
		want   mountOptions
	}{
		{"none", nil, mountOptions{}},
		{"what every mount is", []string{"ro,nosuid", "nodev"}, mountOptions{}},
		{"the kernel's", []string{"noexec,default_permissions,noexec"}, mountOptions{kernel: []string{"noexec", "default_permissions"}}},
		{"exec takes noexec back", []string{"noexec", "exec"}, mountOptions{}},
		{"allow_other", []string{"allow_other"}, mountOptions{allowOther: true}},
		{"owners", []string{"uid=7,gid=8", "gid=0,uid=4294967294"}, mountOptions{uid: new(uint32(4294967294)), gid: new(uint32(0))}},
		{"fstab", []string{"defaults,_netdev,noauto,nofail,user,x-systemd.automount,x-systemd.idle-timeout=1m,X-mount.mkdir,comment=a,noatime"}, mountOptions{}},
		{"empty ones", []string{",,", ""}, mountOptions{}},
		{
			"flags", []string{"tag-ttl=5m,plain-http,username=a=b"},
			mountOptions{flags: []flagOption{{"tag-ttl", "5m"}, {"plain-http", "true"}, {"username", "a=b"}}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseMountOptions(test.values, flagSet(), false)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.kernel) == 0 {
				got.kernel = nil
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %+v, expected %+v", got, test.want)
			}
		})
	}
}

func TestMountOptionsRefused(t *testing.T) {
	for value, words := range map[string][]string{
		"rw":             {"-o rw", "read-only"},
		"suid":           {"-o suid", "nosuid"},
		"ro,dev":         {"-o dev", "nodev"},
		"nope":           {"-o nope", "neither"},
		"tag-ttl":        {"-o tag-ttl", "needs a value"},
		"options=ro":     {"-o options=ro", "neither"},
		"help":           {"-o help", "neither"},
		"o=ro":           {"-o o=ro", "neither"},
		"password=x":     {"neither"},
		"allow_other,=":  {"neither"},
		"uid=":           {"-o uid=", "0 to 4294967294"},
		"uid":            {"-o uid: a number"},
		"gid=users":      {"-o gid=users", "a number"},
		"uid=-1":         {"-o uid=-1", "0 to 4294967294"},
		"gid=4294967295": {"0 to 4294967294"},
		"uid=4294967296": {"0 to 4294967294"},
		"uid=+1":         {"a number"},
		"uid=0x10":       {"a number"},
	} {
		_, err := parseMountOptions([]string{value}, flagSet(), false)
		wantError(t, err, words...)
	}
}

// mount.fuse3 adds rw, dev and suid wherever the opposite isn't given.
func TestMountHelperOptions(t *testing.T) {
	withoutSettings(t)
	r, err := requestFor(t, true, "", "localhost:5000", "/mnt", "-o", "rw,dev,suid,tag-ttl=5m")
	if err != nil {
		t.Fatal(err)
	}
	if len(r.kernelOptions) != 0 || r.tagTTL.String() != "5m0s" {
		t.Errorf("kernel's options %q, tag-ttl %s", r.kernelOptions, r.tagTTL)
	}
}

func TestIsMountHelperCall(t *testing.T) {
	tests := []struct {
		args []string
		want bool
	}{
		{[]string{"localhost:5000", "/mnt", "-o", "rw"}, true},
		{[]string{"ghcr.io/org", "mnt"}, true},
		{[]string{"localhost", "/mnt"}, true},
		{[]string{"none", "/mnt", "-o", "ro"}, true},
		{[]string{"/srv/layout:v1", "/mnt", "-o", "oci-layout"}, true},
		{nil, false},
		{[]string{"localhost:5000"}, false},
		{[]string{"localhost:5000", "-o", "rw"}, false},
		{[]string{"mount", "localhost:5000", "/mnt"}, false},
		{[]string{"mont", "localhost:5000", "/mnt"}, false},
		{[]string{"unmount", "/mnt"}, false},
		{[]string{"--version", "/mnt"}, false},
	}
	for _, test := range tests {
		if got := isMountHelperCall(newRootCommand(), test.args); got != test.want {
			t.Errorf("%q: %t, expected %t", test.args, got, test.want)
		}
	}
}

func flagSet() *pflag.FlagSet {
	flags := pflag.NewFlagSet("mount", pflag.ContinueOnError)
	new(mountFlags).register(flags)
	flags.Bool("help", false, "as cobra adds it")
	return flags
}
