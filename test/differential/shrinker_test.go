package differential

import (
	"errors"
	"slices"
)

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
	for _, f := range s.findings { // what is wrong at last needs no layer that is held
		if first.look == lookEarly {
			first = f
		}
	}
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
