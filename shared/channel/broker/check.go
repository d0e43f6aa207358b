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

// Check returns all for which Start would refuse the configuration, without writing or listening:
// config.Problems under the names of a relay's keys in [channel.embedded]. It reads the files that
// the configuration names. That another process uses the directory or the address shows at the
// start only.
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

// checkServer has the server itself read what it would run with.
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

// placeholder stands in the example for what an operator must write.
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

// presented is the listener's certificate.
func (c Config) presented() config.Presented {
	return config.Presented{Cert: c.Cert, Key: c.Key, Usage: x509.ExtKeyUsageServerAuth}
}

// ErrOtherNames is returned by Reload for a certificate that covers none of the names of the one in
// use: the vault would refuse it.
var ErrOtherNames = errors.New("covers none of the names of the certificate in use: have it issued for them, or restart the relay to change them")

// Reload reads the listener's certificate and key again, for connections to come. They replace the
// old ones only where a start would take them, and where they cover a name of the old ones. It does
// nothing without a listener.
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

// Validities say until when the listener's certificate, and the authorities of clients'
// certificates, are good, as their files are now; nil without a listener.
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

// Validities are those of what is in use.
func (b *Broker) Validities() []config.Validity {
	list := b.config.Validities()
	if current := b.certificate.Load(); current != nil && len(list) > 0 {
		list[0] = config.ValidityOf(list[0].Key, b.config.Cert, *current)
	}
	return list
}
