package daemon

import (
	_ "embed" // the reference configuration
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"nightdrop/relay/internal/bagger"
	"nightdrop/relay/internal/ingest"
	"nightdrop/shared/channel/broker"
	"nightdrop/shared/config"
	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/text"
)

//go:embed relay.example.toml
var reference string

// Reference returns the commented example of every key, as check-config --example prints it.
func Reference() []byte { return []byte(reference) }

// Settings is a relay's configuration file. Paths are relative to the file's directory.
type Settings struct {
	path string

	KeyFile   string          `toml:"key_file"`
	Vault     vaultKey        `toml:"vault"`
	MinSerial uint64          `toml:"min_serial"`
	Origin    string          `toml:"origin"`
	Listen    string          `toml:"listen"`
	Cert      string          `toml:"cert"`
	Key       string          `toml:"key"`
	PlainHTTP bool            `toml:"plain_http"`
	ProxyFrom []netip.Prefix  `toml:"proxy_from"`
	Admin     string          `toml:"admin"`
	HeadFile  string          `toml:"head_file"`
	StopGrace config.Duration `toml:"stop_grace"`
	LogLevel  slog.Level      `toml:"log_level"`
	Limits    limitSettings   `toml:"limits"`
	Channel   channelSettings `toml:"channel"`
}

type limitSettings struct {
	AddressRate   float64         `toml:"address_rate"`
	AddressBurst  int             `toml:"address_burst"`
	MerchantRate  float64         `toml:"merchant_rate"`
	MerchantBurst int             `toml:"merchant_burst"`
	Tracked       int             `toml:"tracked"`
	Connections   int             `toml:"connections"`
	AddressConns  int             `toml:"address_connections"`
	InFlight      int             `toml:"in_flight"`
	AddressPosts  int             `toml:"address_in_flight"`
	MerchantPosts int             `toml:"merchant_in_flight"`
	LongPolls     int             `toml:"long_polls"`
	MerchantPolls int             `toml:"merchant_long_polls"`
	AckWait       config.Duration `toml:"ack_wait"`
	Window        int             `toml:"window"`
	Repeats       int             `toml:"repeats"`
	MerchantBytes int64           `toml:"merchant_bytes"`
}

type channelSettings struct {
	Embedded *embeddedSettings `toml:"embedded"`
	External *externalSettings `toml:"external"`
}

type embeddedSettings struct {
	Dir           string `toml:"dir"`
	Listen        string `toml:"listen"`
	Cert          string `toml:"cert"`
	Key           string `toml:"key"`
	ClientCA      string `toml:"client_ca"`
	VaultNkey     string `toml:"vault_nkey"`
	CourierNkey   string `toml:"courier_nkey"`
	MonitorNkey   string `toml:"monitor_nkey"`
	MaxBytes      int64  `toml:"max_bytes"`
	EnvelopeBytes int64  `toml:"envelope_bytes"`
	ResultBytes   int64  `toml:"result_bytes"`
	MinFree       int64  `toml:"min_free"`
}

type externalSettings struct {
	URL           string `toml:"url"`
	Seed          string `toml:"seed"`
	CA            string `toml:"ca"`
	Cert          string `toml:"cert"`
	Key           string `toml:"key"`
	EnvelopeBytes int64  `toml:"envelope_bytes"`
}

// vaultKey is the vault's verifier key. A bad one is reported together with other problems.
type vaultKey struct {
	note.Verifier
	problem string // why it is none
}

// Placeholders of the example that an operator must replace.
const (
	placeholder   = "ReplaceThisLine"
	exampleOrigin = "https://relay.example.com"
)

func (v *vaultKey) UnmarshalText(written []byte) error {
	parsed, err := note.ParseVerifier(string(written))
	switch {
	case err == nil:
		v.Verifier = parsed
	case strings.HasSuffix(string(written), placeholder):
		v.problem = "still holds the example's placeholder: give the line that `vault init` printed"
	case len(written) > 0:
		v.problem = err.Error() + ": give the line that `vault init` printed"
	}
	return nil
}

func (v vaultKey) check(found *config.Problems) {
	switch {
	case v.problem != "":
		found.Add("vault", v.problem, "")
	case v.Verifier == (note.Verifier{}):
		found.Add("vault", "is not set: give the line that `vault init` printed", "")
	}
}

// Load reads the configuration at path over the defaults.
func Load(path string) (Settings, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Settings{}, err
	}
	s := Settings{
		path: path, Listen: ":443", Admin: "127.0.0.1:9443", HeadFile: "relay.head", KeyFile: "relay.key",
		StopGrace: config.Duration(20 * time.Second),
		Limits: limitSettings{AddressRate: 50, AddressBurst: 200, MerchantRate: 200, MerchantBurst: 1000, Tracked: 65536,
			Connections: 4096, AddressConns: 1024, InFlight: 1024, AddressPosts: 256, MerchantPosts: 256, LongPolls: 1024, MerchantPolls: 16,
			AckWait: config.Duration(10 * time.Second), Window: 4, Repeats: 65536},
	}
	if err := config.Load(path, &s); err != nil {
		return s, err
	}
	s.resolve()
	return s, nil
}

func (s *Settings) resolve() {
	paths := []*string{&s.KeyFile, &s.Cert, &s.Key, &s.HeadFile}
	if e := s.Channel.Embedded; e != nil {
		paths = append(paths, &e.Dir, &e.Cert, &e.Key, &e.ClientCA)
	}
	if e := s.Channel.External; e != nil {
		paths = append(paths, &e.Seed, &e.CA, &e.Cert, &e.Key)
	}
	for _, path := range paths {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(filepath.Dir(s.path), *path)
		}
	}
}

// check reports the values that a relay cannot run with.
func (s Settings) check(found *config.Problems) {
	wrong := func(key, what string) { found.Add(key, what, "") }
	s.Vault.check(found)
	if s.Origin == exampleOrigin {
		wrong("origin", "still holds the example's placeholder: give the public origin under which storefronts reach the relay")
	} else if !validOrigin(s.Origin, s.PlainHTTP) {
		wrong("origin", "give the public origin under which storefronts reach the relay: https://host, with :port where it is not 443")
	}
	for key, address := range s.addresses() {
		if !listenable(address) {
			wrong(key, "give the address to listen on: HOST:PORT, or :PORT for every address of this machine")
		}
	}
	if s.PlainHTTP && !loopback(s.Listen) {
		wrong("plain_http", "is allowed on loopback only: listen on 127.0.0.1, behind a proxy that does TLS, or give cert and key")
	}
	if !s.PlainHTTP && (s.Cert == "" || s.Key == "") {
		wrong("cert, key", "give the PEM files of the relay's certificate and key")
	}
	if s.Limits.Window < 1 || s.Limits.Window > envelope.MaxBagWindow {
		wrong("limits.window", fmt.Sprintf("bags in flight, 1 to %d", envelope.MaxBagWindow))
	}
	for key, n := range map[string]int{"address_burst": s.Limits.AddressBurst, "merchant_burst": s.Limits.MerchantBurst, "tracked": s.Limits.Tracked,
		"connections": s.Limits.Connections, "address_connections": s.Limits.AddressConns, "in_flight": s.Limits.InFlight, "address_in_flight": s.Limits.AddressPosts,
		"merchant_in_flight": s.Limits.MerchantPosts, "long_polls": s.Limits.LongPolls,
		"merchant_long_polls": s.Limits.MerchantPolls} {
		if n < 1 {
			wrong("limits."+key, "at least 1")
		}
	}
	if s.Limits.AddressRate <= 0 || s.Limits.MerchantRate <= 0 || s.Limits.AckWait.Std() < time.Second || s.Limits.AckWait.Std() > time.Minute {
		wrong("limits", "rates are above 0, ack_wait is 1s to 60s")
	}
	if s.Limits.Repeats < 0 || s.Limits.Repeats > maxRepeats {
		wrong("limits.repeats", fmt.Sprintf("envelopes remembered for a minute, 0 to %d", maxRepeats))
	}
	if (s.Channel.Embedded == nil) == (s.Channel.External == nil) {
		wrong("channel", "give either [channel.embedded] or [channel.external]")
	}
	if e := s.Channel.Embedded; e != nil && (e.Dir == "" || e.Listen != "" && (e.Cert == "" || e.Key == "" || e.VaultNkey == "")) {
		wrong("channel.embedded", "dir is needed, and with listen also cert, key and vault_nkey")
	}
	if e := s.Channel.External; e != nil && (e.URL == "" || e.Seed == "") {
		wrong("channel.external", "url and seed are needed")
	}
}

const (
	// maxRepeats bounds limits.repeats: each needs some 200 bytes, and there may be twice as many.
	maxRepeats = 4 << 20
	// defaultExternal is the assumed size of an external channel's ENVELOPES, as the embedded
	// default.
	defaultExternal = 4 << 30
)

func (s Settings) sizing() (bagger.Sizing, error) {
	sizing := bagger.Sizing{Stream: defaultExternal, MerchantBytes: s.Limits.MerchantBytes}
	var err error
	switch {
	case s.Channel.Embedded != nil:
		sizing.Stream, err = s.Channel.Embedded.config().Envelopes()
	case s.Channel.External != nil && s.Channel.External.EnvelopeBytes != 0:
		sizing.Stream = s.Channel.External.EnvelopeBytes
	}
	return sizing, err
}

// validOrigin checks a web origin (RFC 6454): scheme, host, and a port that is not the default.
func validOrigin(origin string, plain bool) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Hostname() == "" || u.Scheme+"://"+u.Host != origin || strings.ToLower(origin) != origin {
		return false
	}
	if u.Scheme == "http" {
		return plain && loopback(u.Host)
	}
	return u.Scheme == "https" && u.Port() != "443" && !strings.HasSuffix(u.Host, ":")
}

func (s Settings) addresses() map[string]string {
	all := map[string]string{"listen": s.Listen, "admin": s.Admin}
	if e := s.Channel.Embedded; e != nil && e.Listen != "" {
		all["channel.embedded.listen"] = e.Listen
	}
	return all
}

// listenable reports whether an address has the form HOST:PORT, whose host may be empty.
func listenable(address string) bool {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// loopback reports whether an address is reached from this machine only.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// signer reads the relay's signing key, which nobody else may be able to read.
func (s Settings) signer() (*note.Signer, error) {
	info, err := os.Stat(s.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w (make one with `relay keygen`)", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("signing key %s may be read by others: chmod 600 it: %w", s.KeyFile, os.ErrPermission)
	}
	data, err := os.ReadFile(s.KeyFile)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	data = text.WithoutMark(data)
	for len(data) > 0 && (data[len(data)-1] == '\n' || data[len(data)-1] == '\r') {
		data = data[:len(data)-1]
	}
	signer, err := note.ParseSigner(string(data))
	if err != nil {
		return nil, fmt.Errorf("signing key %s is damaged: restore it, or make a new one with `relay keygen` and enrol it at the vault: %w", s.KeyFile, config.ErrInvalid)
	}
	return signer, nil
}

func (l limitSettings) ingest() ingest.Limits {
	return ingest.Limits{
		AddressRate: l.AddressRate, AddressBurst: l.AddressBurst, MerchantRate: l.MerchantRate, MerchantBurst: l.MerchantBurst,
		Tracked: l.Tracked, InFlight: l.InFlight, AddressInFlight: l.AddressPosts, MerchantInFlight: l.MerchantPosts, Polls: l.LongPolls, MerchantPolls: l.MerchantPolls, AckWait: l.AckWait.Std(),
	}
}

func (e embeddedSettings) config() broker.Config {
	return broker.Config{Dir: e.Dir, Listen: e.Listen, Cert: e.Cert, Key: e.Key, ClientCA: e.ClientCA,
		VaultNkey: e.VaultNkey, CourierNkey: e.CourierNkey, MonitorNkey: e.MonitorNkey,
		MaxBytes: e.MaxBytes, EnvelopesBytes: e.EnvelopeBytes, ResultsBytes: e.ResultBytes, MinFree: e.MinFree}
}
