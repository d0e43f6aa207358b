package daemon

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"time"

	"nightdrop/relay/internal/bagger"
	"nightdrop/shared/channel"
	"nightdrop/shared/channel/broker"
	"nightdrop/shared/config"
	"nightdrop/shared/note"
)

// Parts are what a relay is made of before it listens, dials or writes. `relay serve` starts from
// them and `relay check-config` only makes them, so that both refuse the same, in the same words.
type Parts struct {
	Signer      *note.Signer
	certificate *certificate    // nil with plain HTTP
	embedded    *broker.Config  // nil with an external channel
	external    channel.Options // of an external channel
	Sizing      bagger.Sizing
}

// Build makes the parts. The error joins every [config.Problem].
func (s Settings) Build(now func() time.Time) (p Parts, err error) {
	found := config.NewProblems(s.path)
	s.check(found)
	s.checkListening(found)
	if p.Signer, err = s.signer(); err != nil {
		found.AddError("key_file", err)
	}
	if !s.PlainHTTP && s.Cert != "" && s.Key != "" {
		p.certificate, err = loadCertificate(s.Cert, s.Key, s.host(), now)
		found.AddError("cert", err)
	}
	found.AddError("head_file", config.CheckFilePlace(s.HeadFile))
	if e := s.Channel.Embedded; e != nil {
		embedded := e.config()
		p.embedded = &embedded
		if e.Dir != "" && e.listenable() {
			found.AddError("channel.embedded", embedded.Check(now()))
		}
	}
	if e := s.Channel.External; e != nil {
		p.external = channel.Options{URL: e.URL, Seed: e.Seed, CA: e.CA, Cert: e.Cert, Key: e.Key}
		if e.URL != "" && e.Seed != "" {
			found.AddError("channel.external", p.external.Check(now()))
		}
	}
	if p.Sizing, err = s.sizing(); err == nil {
		if err := p.Sizing.Valid(); err != nil {
			found.Add("limits.merchant_bytes", err.Error(), "")
		}
	} else if s.Channel.Embedded == nil {
		found.AddError("channel", err)
	}
	return p, found.Err()
}

// Validities returns the validity of every certificate in use.
func (p Parts) Validities() (list []config.Validity) {
	if p.certificate != nil {
		list = append(list, p.certificate.validity())
	}
	if p.embedded != nil {
		return append(list, config.Under("channel.embedded", p.embedded.Validities())...)
	}
	return append(list, config.Under("channel.external", p.external.Validities())...)
}

// host is that of the public origin, or "".
func (s Settings) host() string {
	u, err := url.Parse(s.Origin)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// listenable reports whether the listener's files are there; if not, that is a problem of its own.
func (e embeddedSettings) listenable() bool {
	return e.Listen == "" || listenable(e.Listen) && e.Cert != "" && e.Key != "" && e.VaultNkey != ""
}

// checkListening reports addresses that this machine cannot listen on, without listening: the relay
// may be running.
func (s Settings) checkListening(found *config.Problems) {
	own := ownAddresses()
	taken := map[string]string{}
	for _, key := range []string{"listen", "admin", "channel.embedded.listen"} {
		address, there := s.addresses()[key]
		if !there || !listenable(address) {
			continue
		}
		host, port, _ := net.SplitHostPort(address) // listenable has split it
		ip, err := netip.ParseAddr(host)
		if err == nil && !ip.IsUnspecified() && !ip.IsLoopback() && !own[ip.Unmap().WithZone("")] {
			found.Add(key, fmt.Sprintf("this machine has no address %s", ip), "give one of its own, or :"+port+" for all of them")
		}
		if port == "0" {
			continue
		}
		for _, place := range []string{net.JoinHostPort(host, port), ":" + port} {
			if other, twice := taken[place]; twice {
				found.Add(key, "listens where "+other+" does", "give each a port of its own")
				break
			}
		}
		taken[net.JoinHostPort(host, port)] = key
		if host == "" || err == nil && ip.IsUnspecified() {
			taken[":"+port] = key
		}
	}
}

func ownAddresses() map[netip.Addr]bool {
	own := map[netip.Addr]bool{}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return own // the start reports it
	}
	for _, address := range addresses {
		if prefix, err := netip.ParsePrefix(address.String()); err == nil {
			own[prefix.Addr().Unmap().WithZone("")] = true
		}
	}
	return own
}
