package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// maxHost and maxLabel are the limits of a DNS name and of its parts (RFC 1035).
const (
	maxHost  = 253
	maxLabel = 63
)

// validHost reports whether a host is an IP address, or a name that DNS could hold.
func validHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	host = strings.TrimSuffix(host, ".")
	if host == "" || len(host) > maxHost {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > maxLabel || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return false
		}
		for _, c := range []byte(strings.ToLower(label)) {
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return !allDigits(host) // 127.1, say, is neither
}

// allDigits reports whether the last label is a number, as of a mistyped IP address: no top-level
// domain is one.
func allDigits(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	_, err := strconv.ParseUint(last, 10, 64)
	return err == nil
}

// validPort reports whether a port is a number from 1 to 65535.
func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// CheckAddress checks the form of an address to dial: HOST:PORT, where the host is not empty and
// the port a number above 0.
func CheckAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || !validPort(port) || !validHost(host) {
		return &Problem{What: fmt.Sprintf("%q is no address", address), Do: "write it as HOST:PORT, such as host.example:8583 or [2001:db8::1]:8583"}
	}
	return nil
}
