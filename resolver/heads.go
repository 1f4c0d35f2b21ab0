package resolver

import (
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2"
)

// HEAD of a manifest costs nothing, and is what registries and proxies get wrong:
// they refuse it, or fail, or say that the manifest isn't there, where GET answers.
// So who is refused by HEAD asks once more by GET; and what that said is remembered.

const (
	// headsWrong is for how long a registry isn't asked by HEAD, once that was
	// wrong. Another time it may have been a moment's failure, or between the two
	// somebody pushed.
	headsWrong = 5 * time.Minute
	// maxConfirmed bounds the references that are known to be denied.
	maxConfirmed = 4096
)

// headMemory is what is known of a registry's answers to HEAD of manifests.
type headMemory struct {
	confirmed *lru.Cache[string, struct{}] // references of which GET said the same

	mu         sync.Mutex // guards what follows
	wrongUntil time.Time
	suspect    bool // the last one was wrong, in a way that may have been a moment's
}

func newHeadMemory() (*headMemory, error) {
	confirmed, err := lru.New[string, struct{}](maxConfirmed)
	return &headMemory{confirmed: confirmed}, err
}

// wrong tells whether HEAD isn't to be believed.
func (m *headMemory) wrong() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Now().Before(m.wrongUntil)
}

// doubt tells whether a refusal of HEAD may be one of HEAD alone.
func (m *headMemory) doubt(reference string, refusal error) bool {
	switch statusOf(refusal) {
	case http.StatusForbidden, http.StatusNotFound:
		return !m.confirmed.Contains(reference)
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotAcceptable,
		http.StatusInternalServerError, http.StatusNotImplemented:
		return true
	}
	return false
}

// right takes that HEAD has answered.
func (m *headMemory) right() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.suspect = false
}

// settle takes what GET said after HEAD was refused. What may have been a moment's
// failure, or that of one path, has to come twice: GET of every tag that somebody lists
// would spend what a registry gives in a day.
func (m *headMemory) settle(reference string, refusal, said error) {
	switch {
	case said == nil:
		m.mu.Lock()
		defer m.mu.Unlock()
		before := m.suspect
		m.suspect = hasStatus(refusal, http.StatusForbidden, http.StatusNotFound, http.StatusInternalServerError)
		if before || !m.suspect {
			m.wrongUntil = time.Now().Add(headsWrong)
		}
	case hasStatus(said, http.StatusForbidden, http.StatusNotFound):
		m.confirmed.Add(reference, struct{}{})
	}
}
