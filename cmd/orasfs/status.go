package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/moby/sys/mountinfo"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

const (
	// statusPath is where a daemon answers on its socket.
	statusPath = "/status"
	// statusWithin is what a daemon gets to answer.
	statusWithin = 5 * time.Second
	// maxStatus bounds an answer in bytes.
	maxStatus = 16 << 20
	// watchEvery is how often --watch asks.
	watchEvery = time.Second
)

func newStatusCommand() *cobra.Command {
	format, watch := formatFlag(), false
	cmd := &cobra.Command{
		Use:   "status [flags] [MOUNTPOINT]",
		Short: "Show how mounts are: what is asked, fetched and failed",
		Long: `Show your mounts, or one: what was asked of which host and how that went, hosts that
are down or want to be left alone, what came from memory and disk, what is being
fetched and indexed now, and the latest errors. Of a mount whose daemon has died it
says what to do, and the exit code is 1.`,
		Example: `  orasfs status
  orasfs status --watch /mnt/oci
  orasfs status --format json | jq '.[].errors'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("one MOUNTPOINT, or none for all, not %d arguments", len(args))
			}
			return nil
		},
		ValidArgsFunction: completeMountpoints,
	}
	cmd.Flags().Var(&format, "format", "how to print: text or json")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show it again each second, until it is interrupted")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := applyEnvironment(cmd.Flags()); err != nil {
			return usageError{command: cmd.CommandPath(), err: err}
		}
		show := func(w io.Writer) error { return showStatus(cmd.Context(), w, cmd.ErrOrStderr(), args, format.value) }
		if watch {
			return watchStatus(cmd.Context(), cmd.OutOrStdout(), show)
		}
		return show(cmd.OutOrStdout())
	}
	return cmd
}

// errNotServing is that a mount has no daemon that answers, which has been printed.
var errNotServing = loggedError{errors.New("a mount has no daemon that answers")}

// showStatus prints how the mount is that args name, or all are.
func showStatus(ctx context.Context, w, stderr io.Writer, args []string, format string) error {
	mounts, err := findMounts(args)
	if err != nil {
		return err
	}
	for _, refused := range mounts.refused {
		tell(stderr, "orasfs: "+refused.Error())
	}
	all := mounts.ask(ctx)
	switch {
	case format == "json":
		err = printJSON(w, all)
	case len(all) == 0:
		tell(w, "nothing is mounted by you")
	default:
		err = printStatus(w, all, time.Now())
	}
	if err == nil && slices.ContainsFunc(all, func(m *mountStatus) bool { return m.State == stateDead || m.State == stateSilent }) {
		return errNotServing
	}
	return err
}

// watchStatus shows it again and again: on a terminal in the same place.
func watchStatus(ctx context.Context, w io.Writer, show func(io.Writer) error) error {
	file, ok := w.(*os.File)
	terminal := ok && term.IsTerminal(int(file.Fd())) //nolint:gosec // a file descriptor is small
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		var screen bytes.Buffer
		if err := show(&screen); err != nil && !errors.Is(err, errNotServing) {
			return err
		}
		text := screen.Bytes()
		if terminal { // home, each line cleared to its end, and what is below
			text = append([]byte("\x1b[H"), bytes.ReplaceAll(text, []byte("\n"), []byte("\x1b[K\n"))...)
			text = append(text, "\x1b[J"...)
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// foundMounts are mounts and daemons that were found.
type foundMounts struct {
	of      map[string]*foundMount // by mountpoint
	refused []error                // directories that weren't looked at
}

// A foundMount is one, of which at least one part is there.
type foundMount struct {
	mount *mountinfo.Info // nil where nothing is mounted any more
	notes []foundNote
}

// findMounts finds this user's mounts and daemons: in the table of mounts, and by their
// notes. args may name a mountpoint, where there has to be one then.
func findMounts(args []string) (*foundMounts, error) {
	only := ""
	if len(args) > 0 {
		dir, err := resolveMountpoint(args[0])
		if err != nil {
			return nil, err
		}
		only = dir
	}
	table, err := mountinfo.GetMounts(nil)
	if err != nil {
		return nil, fmt.Errorf("the table of mounts: %w", err)
	}
	found := &foundMounts{of: make(map[string]*foundMount)}
	var there *mountinfo.Info // at only
	for _, m := range table { // what covers others comes last
		if m.Mountpoint == only {
			there = m
		}
		if only != "" && m.Mountpoint != only || m.FSType != fsType || !isOwn(m) {
			continue
		}
		found.of[m.Mountpoint] = &foundMount{mount: m}
	}
	notes, err := findNotes()
	if err != nil {
		found.refused = append(found.refused, err)
	}
	for _, n := range notes {
		if only != "" && n.Mountpoint != only {
			continue
		}
		if found.of[n.Mountpoint] == nil {
			found.of[n.Mountpoint] = new(foundMount)
		}
		found.of[n.Mountpoint].notes = append(found.of[n.Mountpoint].notes, n)
	}
	if only == "" || len(found.of) > 0 {
		return found, nil
	}
	switch {
	case there == nil:
		return nil, fmt.Errorf("%s is not a mountpoint", only)
	case there.FSType != fsType:
		return nil, fmt.Errorf("%s is a mount of %s (%s), not of orasfs", only, there.FSType, there.Source)
	}
	return nil, fmt.Errorf("%s is another user's mount of %s: ask as that user", only, there.Source)
}

// isOwn tells whether this user has mounted it: the kernel says so among its options.
func isOwn(m *mountinfo.Info) bool {
	return slices.Contains(strings.Split(m.VFSOptions, ","), fmt.Sprintf("user_id=%d", os.Geteuid()))
}

// ask asks all of them at once how they are, and gives them in the order of their
// mountpoints.
func (f *foundMounts) ask(ctx context.Context) []*mountStatus {
	all := make([]*mountStatus, 0, len(f.of))
	var mu sync.Mutex // guards all
	var asking sync.WaitGroup
	for dir, m := range f.of {
		asking.Go(func() {
			if s := m.ask(ctx, dir); s != nil {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, s)
			}
		})
	}
	asking.Wait()
	slices.SortFunc(all, func(a, b *mountStatus) int { return cmp.Compare(a.Mountpoint, b.Mountpoint) })
	return all
}

// ask asks a mount's daemon how it is, or finds out why it doesn't say. nil is that it
// has ended in order meanwhile.
func (m *foundMount) ask(ctx context.Context, dir string) *mountStatus {
	s := newStatus(mountNote{Mountpoint: dir}, stateUnknown)
	if m.mount != nil {
		s.Target = m.mount.Source
	}
	noted := false
	for _, n := range m.notes {
		answer, err := askDaemon(ctx, n.base+socketSuffix)
		if err == nil && answer.Mountpoint == dir {
			return answer
		}
		if _, err := os.Lstat(n.base + noteSuffix); err != nil {
			continue
		}
		s.mountNote, noted = n.mountNote, true
		if n.alive() {
			s.State = stateSilent
			break
		}
	}
	if m.mount != nil {
		m.mount, _ = mountAt(dir) // what can't be told isn't there
	}
	if m.mount == nil && !noted {
		return nil
	}
	if s.State == stateUnknown {
		s.State = m.stateWithoutDaemon()
	}
	s.Advice = s.advice()
	return s
}

// stateWithoutDaemon is the state of a mount of which no daemon is found.
func (m *foundMount) stateWithoutDaemon() string {
	if m.mount == nil {
		return stateDead
	}
	switch err := statMount(m.mount.Mountpoint); {
	case isDead(err):
		return stateDead
	case errors.Is(err, errSilent):
		return stateSilent
	}
	return stateUnknown
}

// advice is what to do about a mount that doesn't say how it is.
func (s *mountStatus) advice() string {
	switch s.State {
	case stateDead:
		return fmt.Sprintf("its daemon has died: run orasfs mount %s %s again, or orasfs umount %s", s.Target, s.Mountpoint, s.Mountpoint)
	case stateSilent:
		return fmt.Sprintf("its daemon doesn't answer: look into its log, or run orasfs umount --lazy %s", s.Mountpoint)
	default:
		return "its daemon has no socket that can be found: it may have been started in another environment"
	}
}

// askDaemon asks on a socket.
func askDaemon(ctx context.Context, socket string) (*mountStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, statusWithin)
	defer cancel()
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
		DisableKeepAlives: true,
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://orasfs"+statusPath, nil)
	if err != nil {
		return nil, err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", socket, resp.Status)
	}
	s := new(mountStatus)
	return s, json.NewDecoder(io.LimitReader(resp.Body, maxStatus)).Decode(s)
}
