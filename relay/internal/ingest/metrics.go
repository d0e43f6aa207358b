package ingest

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"nightdrop/shared/config"
)

// Metrics are the relay's figures, in their own registry. No label holds anything a caller chooses.
type Metrics struct {
	Registry *prometheus.Registry

	requests    *prometheus.CounterVec
	postSeconds prometheus.Histogram
	bagSize     prometheus.Histogram
	bagBytes    prometheus.Counter
	bagSeconds  prometheus.Histogram
	bagFailures prometheus.Counter
	connections prometheus.Gauge
	turnedAway  prometheus.Counter
}

// NewMetrics returns figures at zero, with those of Go and of the process.
func NewMetrics() *Metrics {
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "nightdrop_relay_requests_total",
			Help: "Requests by call and answer: ok, a problem's code, or broken (no answer could be given)."}, []string{"call", "answer"}),
		postSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "nightdrop_relay_accept_seconds",
			Help: "Time from a post's header to its receipt.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16)}),
		bagSize: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "nightdrop_relay_bag_envelopes",
			Help: "Envelopes in a bag that became durable.", Buckets: prometheus.ExponentialBuckets(1, 2, 9)}),
		bagBytes: prometheus.NewCounter(prometheus.CounterOpts{Name: "nightdrop_relay_bag_bytes_total",
			Help: "Bytes of bags that became durable."}),
		bagSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "nightdrop_relay_bag_seconds",
			Help: "Time from making a bag to its durable ack.", Buckets: prometheus.ExponentialBuckets(0.0002, 2, 16)}),
		bagFailures: prometheus.NewCounter(prometheus.CounterOpts{Name: "nightdrop_relay_bag_failures_total",
			Help: "Attempts to publish a bag that got no durable ack."}),
		connections: prometheus.NewGauge(prometheus.GaugeOpts{Name: "nightdrop_relay_connections",
			Help: "Public connections that are open."}),
		turnedAway: prometheus.NewCounter(prometheus.CounterOpts{Name: "nightdrop_relay_connections_refused_total",
			Help: "Connections closed at once because a limit was reached."}),
	}
	m.Registry.MustRegister(m.requests, m.postSeconds, m.bagSize, m.bagBytes, m.bagSeconds, m.bagFailures, m.connections,
		m.turnedAway, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// BagAcked implements [bagger.Observer].
func (m *Metrics) BagAcked(envelopes, bytes int, took time.Duration) {
	m.bagSize.Observe(float64(envelopes))
	m.bagBytes.Add(float64(bytes))
	m.bagSeconds.Observe(took.Seconds())
}

// BagFailed implements [bagger.Observer].
func (m *Metrics) BagFailed(error) { m.bagFailures.Inc() }

// Connection counts a public connection: 1 opened, -1 closed; refused: turned away.
func (m *Metrics) Connection(change int, refused bool) {
	m.connections.Add(float64(change))
	if refused {
		m.turnedAway.Inc()
	}
}

// Watch adds figures that are read when they are collected.
func (m *Metrics) Watch(waiting func() (envelopes, bags int), directory func() (expires time.Time, ok bool),
	certificates func() []config.Validity) {
	gauge := func(name, help string, value func() float64) {
		m.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
	}
	gauge("nightdrop_relay_envelopes_waiting", "Envelopes that wait for a bag.", func() float64 { n, _ := waiting(); return float64(n) })
	gauge("nightdrop_relay_bags_in_flight", "Bags that wait for their durable ack.", func() float64 { _, n := waiting(); return float64(n) })
	gauge("nightdrop_relay_directory_expires_seconds", "Unix time at which the directory expires; 0 without one.", func() float64 {
		if expires, ok := directory(); ok {
			return float64(expires.Unix())
		}
		return 0
	})
	gauge("nightdrop_relay_certificate_expires_seconds", "Unix time at which the TLS certificate of the public listener expires; 0 without one.", func() float64 {
		for _, v := range certificates() {
			if v.Key == publicCertificate {
				return float64(v.Until.Unix())
			}
		}
		return 0
	})
	m.Registry.MustRegister(validities{certificates})
}

const publicCertificate = "cert"

// WatchReloads adds whether the last reload was refused.
func (m *Metrics) WatchReloads(refused func() bool) {
	m.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "nightdrop_relay_reload_refused",
		Help: "1 while the certificates of the last SIGHUP were not all taken, and older ones stay in use."}, func() float64 {
		if refused() {
			return 1
		}
		return 0
	}))
}

type validities struct{ list func() []config.Validity }

var remaining = prometheus.NewDesc("nightdrop_relay_certificate_remaining_seconds",
	"Seconds until a certificate that the relay uses expires, by its key in the configuration; below 0 it has. NaN: it cannot be read.",
	[]string{"certificate"}, nil)

// Describe implements [prometheus.Collector].
func (v validities) Describe(all chan<- *prometheus.Desc) { all <- remaining }

// Collect implements [prometheus.Collector].
func (v validities) Collect(all chan<- prometheus.Metric) {
	for _, each := range v.list() {
		left := time.Until(each.Until).Seconds()
		if each.Until.IsZero() {
			left = math.NaN()
		}
		all <- prometheus.MustNewConstMetric(remaining, prometheus.GaugeValue, left, each.Key)
	}
}

func (m *Metrics) answered(call, answer string, took time.Duration) {
	m.requests.WithLabelValues(call, answer).Inc()
	if call == callPost && answer == "ok" {
		m.postSeconds.Observe(took.Seconds())
	}
}
