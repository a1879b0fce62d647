package conformance

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"
)

// The lab has no kubelets that could be asked for the logs of pods, which tests of mirrored requests read. This transport answers those requests from
// the files that the lab keeps, and passes on all others. What a file held at a time is known from looks at it, ten a second.

var logOf = regexp.MustCompile(`/api/v1/namespaces/([^/]+)/pods/([^/]+)/log$`)

type look struct {
	at   time.Time
	size int64
}

type labLogs struct {
	folder string
	next   http.RoundTripper
	lock   *sync.Mutex
	looks  map[string][]look
}

func newLabLogs(folder string) func(http.RoundTripper) http.RoundTripper {
	logs := labLogs{folder: folder, lock: &sync.Mutex{}, looks: map[string][]look{}}
	go func() {
		for ; ; time.Sleep(100 * time.Millisecond) {
			logs.see()
		}
	}()
	return func(next http.RoundTripper) http.RoundTripper {
		one := logs
		one.next = next
		return one
	}
}

func (l labLogs) see() {
	paths, _ := filepath.Glob(filepath.Join(l.folder, "*.log"))
	now := time.Now()
	l.lock.Lock()
	defer l.lock.Unlock()
	for _, path := range paths {
		found, err := os.Stat(path)
		known := l.looks[path]
		if err == nil && (len(known) == 0 || known[len(known)-1].size != found.Size()) {
			l.looks[path] = append(known, look{now, found.Size()})
		}
	}
}

// RoundTrip answers a request for a log, from the time that it asks for on.
func (l labLogs) RoundTrip(request *http.Request) (*http.Response, error) {
	named := logOf.FindStringSubmatch(request.URL.Path)
	if named == nil || request.Method != http.MethodGet {
		return l.next.RoundTrip(request)
	}
	query := request.URL.Query()
	path := filepath.Join(l.folder, named[1]+"_"+named[2]+"_"+query.Get("container")+".log")
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if since, err := time.Parse(time.RFC3339, query.Get("sinceTime")); err == nil {
		body = body[min(l.before(path, since), int64(len(body))):]
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"text/plain"}}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)), Request: request,
	}, nil
}

func (l labLogs) before(path string, since time.Time) int64 {
	l.lock.Lock()
	defer l.lock.Unlock()
	var size int64
	for _, one := range l.looks[path] {
		if one.at.Before(since) {
			size = one.size
		}
	}
	return size
}
