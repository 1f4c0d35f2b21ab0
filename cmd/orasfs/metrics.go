package main

import (
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/orasfs/orasfs/fs"
	"github.com/orasfs/orasfs/resolver"
)

// Metrics are made of the same numbers as the status, when they are asked for. No label
// has a value that content can make more of: hosts are counted by name up to a bound,
// which package resolver has.

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("orasfs_"+name, help, labels, nil)
}

var (
	fuseDuration     = describe("fuse_request_duration_seconds", "Time that the kernel's requests took.", "op")
	fuseReadBytes    = describe("fuse_read_bytes_total", "Bytes given to the kernel.")
	registryDuration = describe("registry_request_duration_seconds", "Time until answers to requests began; code is the status, or timeout, cancelled or failed.", "host", "kind", "code")
	registryReceived = describe("registry_received_bytes_total", "Bytes of bodies that came from a host.", "host")
	registryRetries  = describe("registry_retries_total", "Requests that were sent again.", "reason")
	registryDown     = describe("registry_hosts_down", "Hosts that give no answer at the moment.")
	cacheHits        = describe("cache_hits_total", "Chunks and documents that were in memory or on disk.", "tier")
	cacheMisses      = describe("cache_misses_total", "Chunks and documents that readers had to wait for.")
	cacheBytes       = describe("cache_bytes", "Bytes that are kept; those on disk by all who use the directory.", "tier")
	cacheEvicted     = describe("cache_evicted_bytes_total", "Bytes that were evicted from disk.")
	verifyFailures   = describe("verify_failures_total", "Blobs and documents that didn't match their digest.")
	passthroughOpens = describe("passthrough_opens_total", "Files that were opened for the kernel to read them by itself.")
	buildInfo        = describe("build_info", "The daemon's version; always 1.", "version", "goversion")
)

// Describe implements prometheus.Collector.
func (s *served) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		fuseDuration, fuseReadBytes, registryDuration, registryReceived, registryRetries, registryDown, cacheHits, cacheMisses,
		cacheBytes, cacheEvicted, verifyFailures, passthroughOpens, buildInfo,
	} {
		descs <- d
	}
}

// Collect implements prometheus.Collector.
func (s *served) Collect(metrics chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, value int64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
	}
	gauge := func(d *prometheus.Desc, value int64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value), labels...)
	}
	mount := s.mount.Stats()
	for _, r := range mount.Requests {
		buckets := make(map[float64]uint64, len(r.Buckets))
		for i, n := range r.Buckets {
			buckets[fs.RequestBounds[i].Seconds()] = n
		}
		metrics <- prometheus.MustNewConstHistogram(fuseDuration, r.Count, r.Total.Seconds(), buckets, r.Operation)
	}
	counter(fuseReadBytes, mount.ReadBytes)
	counter(passthroughOpens, mount.PassthroughOpens)

	for _, h := range s.traffic.Snapshot() {
		counter(registryReceived, h.Received, h.Host)
		for _, r := range h.Requests {
			buckets := make(map[float64]uint64, len(r.Buckets))
			for i, n := range r.Buckets {
				buckets[resolver.RequestBounds[i]] = n
			}
			metrics <- prometheus.MustNewConstHistogram(registryDuration, r.Count, r.Seconds, buckets, h.Host, r.Kind, r.Outcome)
		}
	}
	for reason, n := range s.traffic.Retries() {
		counter(registryRetries, n, reason)
	}
	var down int64
	for _, h := range s.traffic.States() {
		if !h.Down.IsZero() {
			down++
		}
	}
	gauge(registryDown, down)

	c := s.cache.Stats()
	counter(cacheHits, c.MemoryHits, "memory")
	counter(cacheHits, c.DiskHits, "disk")
	counter(cacheMisses, c.Misses)
	gauge(cacheBytes, c.MemoryBytes, "memory")
	gauge(cacheBytes, c.DiskBytes, "disk")
	counter(cacheEvicted, c.EvictedBytes)
	counter(verifyFailures, c.WrongDigests)
	gauge(buildInfo, 1, s.note.Version, runtime.Version())
}

// metricsHandler answers with the metrics of what is served, and of the process.
func metricsHandler(s *served) (http.Handler, error) {
	registry := prometheus.NewPedanticRegistry()
	for _, c := range []prometheus.Collector{s, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}), nil
}
