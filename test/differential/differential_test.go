package differential

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// images is how many a normal run has, and batch how many one mount shows.
const (
	images = 300
	batch  = 250
)

func TestImages(t *testing.T) {
	needsMount(t)
	seeds, alone := chosenSeeds(t)
	r := &run{t: t, dir: t.TempDir(), shrunk: map[string][]string{}}
	for part := range slices.Chunk(seeds, batch) {
		var subjects []*subject
		for _, seed := range part {
			subjects = append(subjects, consult(r.dir, fmt.Sprintf("seed %d", seed), makeImage(seed, refusedEntry(r.dir))))
		}
		r.batch(subjects)
		if alone {
			t.Log(subjects[0].describe())
		}
	}
	r.report()
	if len(seeds) >= images && (r.Agreed < len(seeds)/3 || r.Refused == 0 || r.Disagreed == 0 || r.Early == 0) {
		t.Error("too little of what is looked for came up")
	}
}

// chosenSeeds are those of the environment, or the usual ones. alone is that one was
// asked for by itself.
func chosenSeeds(t *testing.T) (seeds []uint64, alone bool) {
	n, first := images, uint64(1)
	rounds, seed := os.Getenv("ORASFS_ROUNDS"), os.Getenv("ORASFS_SEED")
	if testing.Short() {
		n /= 5
	}
	var err error
	if rounds != "" {
		if n, err = strconv.Atoi(rounds); err != nil {
			t.Fatal(err)
		}
		first = rand.Uint64N(1 << 40)
	}
	if seed != "" {
		if first, err = strconv.ParseUint(seed, 10, 64); err != nil {
			t.Fatal(err)
		}
		if rounds == "" {
			n = 1
		}
	}
	for k := range n {
		seeds = append(seeds, first+uint64(k))
	}
	if rounds != "" && seed == "" {
		t.Logf("the first seed is %d", first)
	}
	if rounds == "" && seed == "" {
		seeds = append(seeds, keptSeeds(t)...)
	}
	return seeds, seed != "" && n == 1
}

// keptSeeds are those that failed once.
func keptSeeds(t *testing.T) (seeds []uint64) {
	content, err := os.ReadFile("seeds")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		number, _, _ := strings.Cut(line, "#")
		if number = strings.TrimSpace(number); number == "" {
			continue
		}
		seed, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = append(seeds, seed)
	}
	return seeds
}

// TestKeptImages runs what failed once, as it was shrunk.
func TestKeptImages(t *testing.T) {
	needsMount(t)
	content, err := os.ReadFile("images")
	if err != nil {
		t.Fatal(err)
	}
	r := &run{t: t, dir: t.TempDir(), shrunk: map[string][]string{}}
	var subjects []*subject
	for text := range strings.SplitSeq(string(content), "\n\n") {
		title, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(text), "# "), "\n")
		i, err := parseImage(text)
		if err != nil {
			t.Fatalf("%s: %v", title, err)
		}
		if len(i.layers) > 0 {
			subjects = append(subjects, consult(r.dir, title, i))
		}
	}
	r.batch(subjects)
	r.report()
}

// A run is the images of one test.
type run struct {
	t   *testing.T
	dir string // where the oracles work
	counts
	shrunk  map[string][]string // names of subjects, by what they came down to
	tries   int                 // subjects that were shrunk
	failing []*subject
}

// counts are what came up.
type counts struct {
	Images    int // all of them
	Agreed    int // containerd and umoci make the same of it
	Refused   int // both refuse it
	Disagreed int // anything else
	Followed  int // of those that containerd doesn't refuse: orasfs shows what it makes
	NotTaken  int // of those, containerd refuses it
	Differ    int // of those agreed, orasfs shows something else
	Early     int // lookups that were answered while a layer was held
	Hung      int // no answer
}

// batch looks at images through one mount, and another one with the same cache.
func (r *run) batch(subjects []*subject) {
	l, err := newLab()
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() {
		if err := l.close(); err != nil {
			r.t.Error(err)
		}
	}()
	for _, look := range []string{lookFirst, lookAgain, lookRestart} {
		if look == lookRestart {
			r.check(l.restart())
		}
		for _, s := range subjects {
			early, err := l.look(s, look)
			r.Early += early
			if err != nil {
				r.Hung++
				r.t.Errorf("%v\n%s", err, s.image)
				r.check(l.restart())
			}
		}
	}
	for _, s := range subjects {
		r.count(s)
	}
}

func (r *run) check(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *run) count(s *subject) {
	r.Images++
	wrong := len(s.findings) > 0
	switch {
	case s.agreed:
		r.Agreed++
		if wrong {
			r.Differ++
			r.failing = append(r.failing, s)
		}
	case s.refused():
		r.Refused++
	default:
		r.Disagreed++
		switch {
		case s.containerdErr != nil:
			r.NotTaken++
		case !wrong:
			r.Followed++
		case os.Getenv("ORASFS_DISAGREED") != "":
			r.failing = append(r.failing, s)
		}
	}
}

// report shrinks what failed and tells of it.
func (r *run) report() {
	most := 10
	if n, err := strconv.Atoi(os.Getenv("ORASFS_SHRINK")); err == nil {
		most = n
	}
	sh := &shrinker{dir: r.dir}
	defer func() { r.check(sh.close()) }()
	byText, order := map[string][]*subject{}, []string{}
	for _, s := range r.failing {
		text := s.image.String()
		if most > 0 {
			most--
			small, err := sh.shrink(s)
			r.check(err)
			text = small.describe()
		} else {
			text += s.found()
		}
		if byText[text] == nil {
			order = append(order, text)
		}
		byText[text] = append(byText[text], s)
	}
	for _, text := range order {
		var names []string
		for _, s := range byText[text] {
			names = append(names, s.name)
		}
		say := r.t.Errorf
		if !byText[text][0].agreed {
			say = r.t.Logf
		}
		say("%s:\n%s", strings.Join(names, ", "), text)
	}
	r.t.Logf("%+v", r.counts)
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

// A shrinker tries smaller images in a mount of its own.
type shrinker struct {
	dir string
	lab *lab
}

func (sh *shrinker) close() error {
	if sh.lab == nil {
		return nil
	}
	return sh.lab.close()
}

// shrink gives what a subject comes down to while orasfs has something of the same kind
// wrong in it.
func (sh *shrinker) shrink(s *subject) (*subject, error) {
	smallest, first := s, s.findings[0]
	var failed error
	shrink(s.image, func(i *image) bool {
		if failed != nil || len(i.layers) == 0 {
			return false
		}
		c := consult(sh.dir, s.name, i)
		if c.agreed != s.agreed || c.containerdErr != nil || c.umociErr != nil && s.umociErr == nil {
			return false
		}
		if failed = sh.look(c, first.look); failed != nil {
			return false
		}
		for _, f := range c.findings {
			if f.look == first.look && f.alike(&first) {
				smallest = c
				return true
			}
		}
		return false
	})
	return smallest, failed
}

// look looks at an image as often as it takes to come to that look.
func (sh *shrinker) look(s *subject, look string) (err error) {
	if sh.lab == nil {
		if sh.lab, err = newLab(); err != nil {
			return err
		}
	}
	if _, err = sh.lab.look(s, lookFirst); err != nil || look == lookEarly || look == lookFirst {
		return err
	}
	if _, err = sh.lab.look(s, lookAgain); err != nil || look == lookAgain {
		return err
	}
	if err := sh.lab.restart(); err != nil {
		return err
	}
	_, err = sh.lab.look(s, lookRestart)
	lab := sh.lab
	sh.lab = nil
	return errors.Join(err, lab.close())
}

// alike tells whether another finding's first difference is of a kind with one of
// these.
func (f *finding) alike(other *finding) bool {
	return slices.ContainsFunc(f.differences, func(d difference) bool { return d.aspect == other.differences[0].aspect })
}
