//go:build linux

package csi

import (
	"encoding/base64"
	"fmt"
	"testing"
)

// A volume without a secret is mounted with the node's credentials: but not where its
// author has them sent over plain HTTP.
func TestNodeCredentials(t *testing.T) {
	fake, host := serve(t)
	push(fake, "org/model", "v1", "weights", "one")
	fake.RequireBasic("node", "of the node")
	n := newNode(t)
	n.write("no-credentials", fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, base64.StdEncoding.EncodeToString([]byte("node:of the node"))))
	plain := n.pod("plain", map[string]string{"reference": host + "/org/model:v1", "plainHTTP": "true"})
	mustSay(t, plain.publish(), host)
	n.mustBeEmpty()
	for _, r := range fake.Requests() {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("%s %s brought credentials", r.Method, r.Path)
		}
	}
	p := n.pod("a", map[string]string{"reference": host + "/org/model:v1"})
	p.mustPublish()
	p.mustHold("weights", "one")
}
