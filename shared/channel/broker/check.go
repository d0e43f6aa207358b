package broker

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nkeys"

	"nightdrop/shared/config"
)

// Check returns, without writing or listening, all for which Start would refuse the configuration:
// [config.Problems] by a relay's keys in [channel.embedded]. It reads the files that it names.
// Whether another process uses the directory or the address shows only at the start.
func (c Config) Check(now time.Time) error {
	c = c.withDefaults()
	found := config.NewProblems("")
	if c.Dir == "" {
		found.Add("dir", "channel store: no directory given", "")
	} else {
		found.AddError("dir", config.CheckMakeable(c.Dir))
	}
	if _, err := c.sizes(); err != nil {
		found.Add("max_bytes", err.Error(), "")
	}
	c.checkNkeys(found)
	if c.Listen != "" {
		if c.Cert != "" && c.Key != "" {
			_, err := c.presented().Load(now)
			found.AddError("cert", err)
		}
		if c.ClientCA != "" {
			found.AddError("client_ca", config.CheckAuthorities(c.ClientCA, now))
		}
	}
	if found.Err() != nil {
		return found.Err()
	}
	return c.checkServer()
}

func (c Config) checkServer() error {
	keys, err := makeKeys()
	if err != nil {
		return err
	}
	made, err := c.configuration(keys, c.MaxBytes)
	if err != nil {
		return err
	}
	_, err = options(made)
	return err
}

// placeholder marks what an operator must replace in the example.
const placeholder = "ReplaceThisLine"

func (c Config) checkNkeys(found *config.Problems) {
	seen := map[string]string{}
	for _, role := range []struct{ name, nkey string }{{"vault", c.VaultNkey}, {"courier", c.CourierNkey}, {"monitor", c.MonitorNkey}} {
		key := role.name + "_nkey"
		switch other, twice := seen[role.nkey]; {
		case role.nkey == "":
			continue
		case strings.HasSuffix(role.nkey, placeholder):
			found.Add(key, "still holds the example's placeholder", "write the public line of the "+role.name+"'s key (U...)")
		case !nkeys.IsValidPublicUserKey(role.nkey): // it may be a seed: never repeat it
			found.Add(key, fmt.Sprintf("channel key of the %s is not a public user nkey (U...)", role.name), "")
		case twice:
			found.Add(key, "is the key of the "+other+" too", "give each role a key of its own")
		}
		seen[role.nkey] = role.name
	}
}

func (c Config) presented() config.Presented {
	return config.Presented{Cert: c.Cert, Key: c.Key, Usage: x509.ExtKeyUsageServerAuth}
}

// ErrOtherNames is returned by [Broker.Reload] for a certificate that covers no name of the present
// one: the vault would refuse it.
var ErrOtherNames = errors.New("covers none of the names of the certificate in use: have it issued for them, or restart the relay to change them")

// Reload reads the listener's certificate and key again, for new connections. They replace the old
// if a start would accept them and they cover one of the old names. Without a listener it does
// nothing.
func (b *Broker) Reload() error {
	if b.config.Listen == "" {
		return nil
	}
	loaded, err := b.config.presented().Load(time.Now())
	if err != nil {
		return fmt.Errorf("channel certificate %s and its key %s: %w", b.config.Cert, b.config.Key, err)
	}
	if old := b.certificate.Load(); old != nil {
		names := config.Names(loaded)
		if !slices.ContainsFunc(config.Names(*old), func(name string) bool { return slices.Contains(names, name) }) {
			return fmt.Errorf("channel certificate %s %w", b.config.Cert, ErrOtherNames)
		}
	}
	b.certificate.Store(&loaded)
	return nil
}

// Validities returns the validity of the certificates of the listener and of clients' authorities,
// as their files are now; nil without a listener.
func (c Config) Validities() (list []config.Validity) {
	if c.Listen == "" {
		return nil
	}
	list = append(list, config.ValidityOfFiles("cert", c.Cert, c.Key))
	if c.ClientCA != "" {
		list = append(list, config.ValidityOfAuthorities("client_ca", c.ClientCA))
	}
	return list
}

// Validities returns the validity of those in use.
func (b *Broker) Validities() []config.Validity {
	list := b.config.Validities()
	if current := b.certificate.Load(); current != nil && len(list) > 0 {
		list[0] = config.ValidityOf(list[0].Key, b.config.Cert, *current)
	}
	return list
}
