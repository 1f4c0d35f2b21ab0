package differential

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// A subject is an image and what containerd and umoci make of it.
type subject struct {
	name  string
	image *image
	root  string // where it is in the mount, once it is

	containerd, umoci       tree
	containerdErr, umociErr error

	// want is containerd's tree, with the times left open that are no more than
	// its own. agreed is that umoci has the same then.
	want   tree
	agreed bool

	asUmoci bool // orasfs showed at first what umoci made

	findings []finding
}

// A finding is what was wrong at one look.
type finding struct {
	look        string
	differences []difference
}

// consult asks the oracles.
func consult(dir, name string, i *image) *subject {
	s := &subject{name: name, image: i}
	tars := i.tars()
	s.containerd, s.containerdErr = unpack(dir, containerd, tars)
	s.umoci, s.umociErr = unpack(dir, umociUnpack, tars)
	if s.containerdErr != nil {
		return s
	}
	s.want = leaveTimesOpen(s.containerd, s.umoci)
	s.agreed = s.umociErr == nil && len(compare(s.want, s.umoci)) == 0
	return s
}

// leaveTimesOpen is a tree without the times of directories that another one has
// otherwise, or that are about now: who applied the layers made or changed those.
func leaveTimesOpen(t, other tree) tree {
	t = maps.Clone(t)
	for p, f := range t {
		ago := time.Since(time.Unix(0, f.MTime)).Abs()
		if f.Kind == "dir" && (other[p].MTime != f.MTime || ago < time.Hour) {
			f.AnyTime = true
			t[p] = f
		}
	}
	return t
}

func (s *subject) refused() bool { return s.containerdErr != nil && s.umociErr != nil }

// The looks at an image.
const (
	lookEarly   = "while it arrives"
	lookFirst   = "at first"
	lookAgain   = "again"
	lookRestart = "after a restart"
)

// look reads the image in the mount and takes down what isn't as wanted. The error is
// that there was no answer.
func (l *lab) look(s *subject, look string) (early int, err error) {
	q, head, release := request{Root: s.root}, headStart, func() {}
	if look == lookFirst {
		root, layers := l.push(s.image)
		s.root, q.Root = root, root
		if k := s.image.held; s.agreed && k > 0 && k <= len(layers) {
			from := int64(0)
			if len(s.image.tars()[k-1]) > padSize {
				from, head = padSize+padSize/2, largeHeadStart
			}
			release = sync.OnceFunc(l.hold(layers[k-1], from))
			defer release()
			q.Early = s.some()
		}
	}
	if s.agreed {
		q.Absent = s.absent()
	}
	var atOnce finding
	held := true
	a, err := l.reader.read(q, head, func(p string, f fact) {
		if held {
			early++
		}
		atOnce.add(lookEarly, s.compareEarly(p, f))
	}, func() { held = false; release() })
	if err != nil {
		return early, fmt.Errorf("%s, %s: %w", s.name, look, err)
	}
	s.find(atOnce)
	if look == lookFirst && s.umociErr == nil {
		s.asUmoci = len(compare(leaveTimesOpen(s.umoci, s.containerd), a.Tree)) == 0
	}
	if s.containerdErr == nil {
		found := compare(s.want, a.Tree)
		for _, p := range a.There {
			found = append(found, difference{p, "surplus", "", "found by its name"})
		}
		s.find(finding{look, found})
	}
	return early, nil
}

func (f *finding) add(look string, found []difference) {
	f.look = look
	f.differences = append(f.differences, found...)
}

func (s *subject) find(f finding) {
	if len(f.differences) > 0 {
		s.findings = append(s.findings, f)
	}
}

// compareEarly compares what is known of one name. How many others it has isn't yet.
func (s *subject) compareEarly(p string, f fact) []difference {
	if s.image.saysTwice(p) {
		return nil
	}
	w, ok := s.want[p]
	if !ok {
		w = failed(os.ErrNotExist)
	}
	w.Same, w.Links, f.Same, f.Links = "", 0, "", 0
	return w.compare(p, &f)
}

// saysTwice tells whether the layer that is held says of a path, or of a directory on
// the way to it, more than one thing. Which is the last isn't known before all of the
// layer is there: what has come so far is shown.
func (i *image) saysTwice(p string) bool {
	said := map[string]int{}
	for _, e := range i.layers[i.held-1].entries {
		dir, name := path.Split(path.Clean("/" + e.name))
		name, hides := strings.CutPrefix(name, ".wh.")
		if at := path.Join(dir, name); hides && name == ".wh..opq" {
			said[path.Clean(dir)] += 2
		} else {
			said[at]++
		}
	}
	for at := path.Clean("/" + p); ; at = path.Dir(at) {
		if said[at] > 1 {
			return true
		}
		if at == "/" {
			return false
		}
	}
}

// some are names to look up early: what is there and what isn't.
func (s *subject) some() []string {
	names := append(slices.Sorted(maps.Keys(s.want)), s.absent()...)
	rand.New(rand.NewPCG(uint64(len(names)), 1)).Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return names[:min(len(names), 10)]
}

// absent are paths that entries name and that aren't there in the end, without
// those below something that isn't there either, or a link.
func (s *subject) absent() []string {
	found := map[string]bool{}
	for _, l := range s.image.layers {
		for _, e := range l.entries {
			at := ""
			for element := range strings.SplitSeq(strings.Trim(path.Clean("/"+e.name), "/"), "/") {
				at = path.Join(at, element)
				if f, ok := s.want[at]; !ok && at != "" {
					found[at] = true
					break
				} else if f.Kind != "dir" {
					break
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// found is what was wrong, and at which looks.
func (s *subject) found() string {
	looks, order := map[string][]string{}, []string{}
	for _, f := range s.findings {
		for _, d := range f.differences {
			text := d.String()
			if looks[text] == nil {
				order = append(order, text)
			}
			looks[text] = append(looks[text], f.look)
		}
	}
	var b strings.Builder
	for _, text := range order {
		fmt.Fprintf(&b, "  %s (%s)\n", text, strings.Join(looks[text], ", "))
	}
	return b.String()
}

// describe is an image, what the oracles make of it and what isn't like that.
func (s *subject) describe() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", s.image)
	switch {
	case s.agreed:
		b.WriteString("containerd and umoci make of it:\n" + s.want.String())
	default:
		fmt.Fprintf(&b, "containerd makes of it: %s\n%s", reason(s.containerdErr), s.containerd)
		fmt.Fprintf(&b, "umoci makes of it: %s\n%s", reason(s.umociErr), s.umoci)
	}
	if f := s.found(); f != "" {
		b.WriteString("orasfs has:\n" + f)
	}
	return b.String()
}

func reason(err error) string {
	if err == nil {
		return ""
	}
	return "refused: " + err.Error()
}
