package fs

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/orasfs/orasfs/resolver"
)

// What a registry said last is noted on disk too: which digest a tag stood for, and
// which repositories have given something. So a mount that is made while the
// registry can't be reached (a machine that starts in an outage) has names for the
// content that the cache holds. It holds for as long as the last answer in memory
// does, Options.MaxStale, and is used only where the registry can't be asked.
//
// There is an entry of the cache for each repository and one for each registry. As
// with evidence (known.go) nobody can tell an entry's name without the cache's key,
// and with another credential there is another entry.
const (
	maxNotedTags         = 1024 // of one repository, the latest
	maxNotedRepositories = 1024 // of one registry, the latest
	// notedAnew is in how many parts of MaxStale an answer that stays the same is
	// noted again.
	notedAnew = 24
)

// notedTag is what a tag stood for, and when the registry said so.
type notedTag struct {
	Digest digest.Digest `json:"digest"`
	Said   time.Time     `json:"said"`

	denied bool // the registry has said that there is none: what was noted goes
}

// remembered is what is noted on disk of registries' answers. All of it is nothing
// to rely on.
type remembered struct {
	tree   *tree
	noting notebook[noted]
}

func newRemembered(t *tree) *remembered {
	m := &remembered{tree: t}
	m.noting = notebook[noted]{tree: t, write: m.write}
	return m
}

// A noted is one thing to note: that the registry of a repository has answered, and
// what about a tag, unless that is "".
type noted struct {
	origin     string // the registry, as its repositories' names begin
	credential func(context.Context) (string, error)
	repository string // with the registry's name; "" is none
	tag        string
	notedTag
}

// tag notes what a tag of a repository stands for.
func (m *remembered) tag(r *repository, tag string, d digest.Digest) {
	if !r.local {
		m.noting.add(noted{origin: r.origin, credential: r.credential, repository: r.name, tag: tag, notedTag: notedTag{Digest: d, Said: time.Now()}})
	}
}

// deny notes that the registry denies a tag, if that is what err says: in an outage it
// isn't to come back.
func (m *remembered) deny(r *repository, tag string, err error) {
	if !r.local && (missing(err) || denied(err)) {
		m.noting.add(noted{origin: r.origin, credential: r.credential, repository: r.name, tag: tag, notedTag: notedTag{Said: time.Now(), denied: true}})
	}
}

// host notes that a registry has answered.
func (m *remembered) host(r *registry) {
	m.noting.add(noted{origin: r.remote.Host(), credential: r.remote.Asking, notedTag: notedTag{Said: time.Now()}})
}

// write notes a batch.
func (m *remembered) write(ctx context.Context, batch []noted) {
	byOrigin := map[string][]noted{}
	for _, n := range batch {
		byOrigin[n.origin] = append(byOrigin[n.origin], n)
	}
	for _, of := range byOrigin {
		m.writeRegistry(ctx, of)
	}
}

// writeRegistry notes what one registry said.
func (m *remembered) writeRegistry(ctx context.Context, batch []noted) {
	origin := batch[0].origin
	credential, err := batch[0].credential(ctx)
	if err != nil {
		m.tree.log.Warn("what the registry said isn't noted", "reference", origin, "error", err)
		return
	}
	latest := batch[len(batch)-1].Said
	byName, given := map[string]map[string]notedTag{}, map[string]notedTag{"": {Said: latest}} // "" is the registry itself
	for _, n := range batch {
		if byName[n.repository] == nil {
			byName[n.repository] = map[string]notedTag{}
		}
		byName[n.repository][n.tag] = n.notedTag
		if !n.denied {
			given[n.repository] = notedTag{Said: latest}
		}
	}
	for name, tags := range byName {
		if name != "" {
			m.merge(m.entry("tags", name, credential), tags, maxNotedTags)
		}
	}
	m.merge(m.entry("host", origin, credential), given, maxNotedRepositories)
}

// merge adds names to an entry, and drops what is too much then: the oldest.
func (m *remembered) merge(entry string, added map[string]notedTag, most int) {
	all := m.read(entry)
	if all == nil {
		all = map[string]notedTag{}
	}
	changed := false
	for name, tag := range added {
		before, ok := all[name]
		if tag.denied {
			changed = changed || ok
			delete(all, name)
			continue
		}
		changed = changed || !ok || before.Digest != tag.Digest || tag.Said.Sub(before.Said) > m.tree.maxStale/notedAnew
		all[name] = tag
	}
	if !changed {
		return
	}
	if len(all) > most {
		names := make([]string, 0, len(all))
		for name := range all {
			if name != "" {
				names = append(names, name)
			}
		}
		slices.SortFunc(names, func(a, b string) int { return all[a].Said.Compare(all[b].Said) })
		for _, name := range names[:len(all)-most] {
			delete(all, name)
		}
	}
	if content, err := json.Marshal(all); err == nil {
		m.tree.cache.PutIndex(entry, content)
	}
}

// entry is the name of the entry for a registry or a repository.
func (m *remembered) entry(kind, name, credential string) string {
	return m.tree.evidence.entryName(kind+"-", kind, name, credential)
}

// read is what an entry holds, nil where there is none.
func (m *remembered) read(entry string) map[string]notedTag {
	content, ok := m.tree.cache.Index(entry)
	if !ok {
		return nil
	}
	var all map[string]notedTag
	if json.Unmarshal(content, &all) != nil {
		return nil
	}
	return all
}

// recall is what is noted under a name, without what is too old.
func (m *remembered) recall(ctx context.Context, kind, name string, credential func(context.Context) (string, error)) map[string]notedTag {
	secret, err := credential(ctx)
	if err != nil {
		m.tree.log.Warn("what the registry said before isn't known", "reference", name, "error", err)
		return nil
	}
	all := m.read(m.entry(kind, name, secret))
	for name, tag := range all {
		if age := time.Since(tag.Said); age > m.tree.maxStale || age < 0 {
			delete(all, name)
		}
	}
	return all
}

// tags are what the tags of a repository stood for.
func (m *remembered) tags(ctx context.Context, r *repository) map[string]notedTag {
	if r.local {
		return nil
	}
	all := m.recall(ctx, "tags", r.name, r.credential)
	for tag, noted := range all {
		if _, err := parseDigest(noted.Digest.String()); err != nil || !resolver.ValidTag(tag) {
			delete(all, tag)
		}
	}
	return all
}

// registry tells when a registry answered last, the zero time where that isn't
// noted. What its repositories have given is met then.
func (m *remembered) registry(ctx context.Context, r *registry) time.Time {
	all := m.recall(ctx, "host", r.remote.Host(), r.remote.Asking)
	itself, ok := all[""]
	if !ok {
		return time.Time{}
	}
	for name := range all {
		if repo, err := r.remote.Repository(strings.TrimPrefix(name, r.remote.Host()+"/")); err == nil {
			repo.Remember("")
		}
	}
	return itself.Said
}
