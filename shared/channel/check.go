package channel

import (
	"crypto/x509"
	"time"

	"nightdrop/shared/config"
)

// Check returns, without dialling, all for which DialRelay and DialVault would refuse the options,
// and expired files: [config.Problems] by the keys of a configuration's channel section.
func (o Options) Check(now time.Time) error {
	found := config.NewProblems("")
	if _, err := brokers(o.URL); err != nil {
		found.Add("url", err.Error(), "")
	}
	if pair, err := readSeed(o.Seed); err != nil {
		found.AddError("seed", err)
	} else {
		pair.Wipe()
	}
	if o.CA != "" {
		found.AddError("ca", config.CheckAuthorities(o.CA, now))
	}
	switch {
	case (o.Cert == "") != (o.Key == ""):
		found.Add("cert", errHalfCertificate.Error(), "")
	case o.Cert != "":
		_, err := o.presented().Load(now)
		found.AddError("cert", err)
	}
	return found.Err()
}

func (o Options) presented() config.Presented {
	return config.Presented{Cert: o.Cert, Key: o.Key, Usage: x509.ExtKeyUsageClientAuth}
}

// Validities returns the validity of the certificates that the options name, as their files are
// now.
func (o Options) Validities() (list []config.Validity) {
	if o.Cert != "" {
		list = append(list, config.ValidityOfFiles("cert", o.Cert, o.Key))
	}
	if o.CA != "" {
		list = append(list, config.ValidityOfAuthorities("ca", o.CA))
	}
	return list
}
