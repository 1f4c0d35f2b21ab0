package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"github.com/orasfs/orasfs/cache"
	"github.com/orasfs/orasfs/fs"
)

func newCacheInfoCommand() *cobra.Command {
	var flags cacheFlags
	cmd := &cobra.Command{
		Use:   "info [flags]",
		Short: "Show what the cache holds, by registry and repository",
		Long: `Show what the cache holds: how much and how old, in all and of each registry and
repository. What several repositories have is counted for each of them, and once
in all. What mounts kept of content, such as indexes of layers, is counted in all.`,
		Args: cobra.NoArgs,
	}
	flags.register(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		dir, err := flags.open(cmd)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, dir.Close()) }()
		info := takeStock(dir)
		info.Directory = flags.dir
		if flags.format.value == "json" {
			return printJSON(cmd.OutOrStdout(), info)
		}
		return info.print(cmd.OutOrStdout())
	}
	return cmd
}

// cacheInfo is what a cache holds.
type cacheInfo struct {
	Directory string `json:"directory"`
	stock
	Indexes    stock           `json:"indexes"` // of them, what was found out of content
	Registries []registryStock `json:"registries"`
}

// A stock is a number of things on disk.
type stock struct {
	Count   int       `json:"count"`
	Partial int       `json:"partial"` // of them, those that aren't whole
	Bytes   int64     `json:"bytes"`   // on disk
	Oldest  time.Time `json:"oldest,omitzero"`
	Latest  time.Time `json:"latest,omitzero"` // when one of them was used last
}

func (s *stock) add(h cache.Holding) {
	s.Count++
	if h.Partial {
		s.Partial++
	}
	s.Bytes += h.Bytes
	if s.Oldest.IsZero() || h.Used.Before(s.Oldest) {
		s.Oldest = h.Used
	}
	if h.Used.After(s.Latest) {
		s.Latest = h.Used
	}
}

type registryStock struct {
	Registry string `json:"registry"`
	stock
	Repositories []repositoryStock `json:"repositories"`
}

type repositoryStock struct {
	Repository string `json:"repository"`
	stock
}

// unknownHolder is whose content is that nobody came to by a name.
const unknownHolder = "(unknown)"

func takeStock(dir *cache.Directory) *cacheInfo {
	info := &cacheInfo{Registries: []registryStock{}}
	holders := fs.Holders(dir)
	registries := map[string]*registryStock{}
	repositories := map[string]*repositoryStock{}
	for h := range dir.Holdings() {
		info.add(h)
		if h.Digest == "" {
			info.Indexes.add(h)
			continue
		}
		counted := map[string]bool{}
		for _, name := range holdersOf(holders, h.Digest) {
			host, _, _ := strings.Cut(name, "/")
			if registries[host] == nil {
				registries[host] = &registryStock{Registry: host, Repositories: []repositoryStock{}}
			}
			if !counted[host] {
				registries[host].add(h)
				counted[host] = true
			}
			if repositories[name] == nil {
				repositories[name] = &repositoryStock{Repository: name}
			}
			repositories[name].add(h)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(repositories)) {
		host, _, below := strings.Cut(name, "/")
		if below {
			registries[host].Repositories = append(registries[host].Repositories, *repositories[name])
		}
	}
	for _, r := range registries {
		info.Registries = append(info.Registries, *r)
	}
	slices.SortFunc(info.Registries, func(a, b registryStock) int { return cmp.Compare(b.Bytes, a.Bytes) })
	return info
}

func holdersOf(holders map[digest.Digest][]string, d digest.Digest) []string {
	if names := holders[d]; len(names) > 0 {
		return names
	}
	return []string{unknownHolder}
}

func (i *cacheInfo) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name string, s stock) {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%s\t%s\n", printable(name), humanBytes(s.Bytes), s.Count, s.Partial, ago(s.Latest), ago(s.Oldest))
	}
	_, _ = fmt.Fprintln(table, "NAME\tSIZE\tCOUNT\tPARTIAL\tUSED LAST\tOLDEST")
	line(i.Directory, i.stock)
	line("  indexes", i.Indexes)
	for _, r := range i.Registries {
		line("  "+r.Registry, r.stock)
		for _, repository := range r.Repositories {
			line("    "+strings.TrimPrefix(repository.Repository, r.Registry+"/"), repository.stock)
		}
	}
	return table.Flush()
}
