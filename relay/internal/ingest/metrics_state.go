package ingest

import "github.com/prometheus/client_golang/prometheus"

type stateCollector struct {
	state                                              func() State
	bytes, limit, own, uncommitted, over, merchantOver *prometheus.Desc
}

// WatchState adds how full the streams are and how merchants share ENVELOPES. Only merchants over
// their own share are named, by the ids that the vault gave them, at most 20.
func (m *Metrics) WatchState(state func() State) {
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("nightdrop_relay_"+name, help, labels, nil)
	}
	m.Registry.MustRegister(&stateCollector{
		state:        state,
		bytes:        describe("stream_bytes", "Bytes that a stream of the channel holds.", "stream"),
		limit:        describe("stream_limit_bytes", "Bytes that a stream of the channel may hold.", "stream"),
		own:          describe("share_bytes", "Bytes of ENVELOPES that are each merchant's own; 0 if not limited."),
		uncommitted:  describe("uncommitted_bytes", "Bytes of all merchants, since the start, that the vault has not committed."),
		over:         describe("merchants_over_share", "Merchants with more in ENVELOPES than their own share."),
		merchantOver: describe("merchant_uncommitted_bytes", "Bytes of a merchant that is over its own share.", "merchant"),
	})
}

// Describe implements [prometheus.Collector].
func (c *stateCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.bytes, c.limit, c.own, c.uncommitted, c.over, c.merchantOver} {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *stateCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value), labels...)
	}
	s := c.state()
	for _, stream := range s.Streams {
		gauge(c.bytes, stream.Bytes, stream.Name)
		gauge(c.limit, stream.Limit, stream.Name)
	}
	gauge(c.own, s.Shares.Own)
	gauge(c.uncommitted, s.Shares.Bytes)
	gauge(c.over, int64(s.Shares.Over))
	for _, merchant := range s.Shares.Merchants {
		if merchant.Over {
			gauge(c.merchantOver, merchant.Bytes, merchant.Merchant)
		}
	}
}
