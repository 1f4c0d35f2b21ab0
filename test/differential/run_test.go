package differential

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// A run is the images of one test.
type run struct {
	t   *testing.T
	dir string // where the oracles work
	counts
	failing []*subject
}

// counts are what came up.
type counts struct {
	Images    int // all of them
	Agreed    int // containerd and umoci make the same of it
	Refused   int // both refuse it
	Disagreed int // anything else
	Followed  int // of those disagreed, orasfs shows what containerd makes
	AsUmoci   int // of those disagreed, orasfs shows what umoci makes
	NotTaken  int // of those disagreed, containerd refuses it
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
		if s.asUmoci {
			r.AsUmoci++
		}
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
