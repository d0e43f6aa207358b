package channel

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

const (
	// maxPayload is the broker's default limit of data and headers: a bag with headers fits.
	maxPayload = 1 << 20
	// maxConnections is ample for relays, vault, standby, couriers and monitors.
	maxConnections = 256
)

// RelayKey is a relay's public nkey and, if known, its name: then it may write only that name's
// bags.
type RelayKey struct {
	Name string // "" = any
	Nkey string // U...
}

// Configuration describes a broker. Package broker starts the embedded one from the same Text, so
// an external broker's file differs only by its cluster settings.
type Configuration struct {
	Name           string // the server's name
	Listen         string // host:port; "" = no listener
	Cert, Key      string // PEM files; needed with Listen
	ClientCA       string // PEM file; set, clients must show a certificate of these authorities
	Dir            string // store directory
	MaxStore       int64  // bytes: what the limits of all streams may add up to
	Relays         []RelayKey
	RelayInProcess bool   // relays' keys are accepted from this process only
	Vault          string // public nkeys, "" = off
	Courier        string
	Monitor        string
	VaultKeeper    string // keys that make the streams of VAULT and RELAY, from this process only
	RelayKeeper    string
}

// user is one key with its allow-list and its own inbox prefix.
type user struct {
	Nkey      string
	InProcess bool
	Publish   []string
	Subscribe []string
}

type account struct {
	Name      string
	JetStream bool
	Exports   []service
	Imports   []service
	Users     []user
}

// service is a subject that crosses between accounts: requests go from the users' accounts to the
// owner's, and only answers come back. A reply subject has a meaning in the asker's own account
// only.
type service struct {
	Subject  string
	Owner    string
	Users    []string
	Streamed bool   // one request may have many answers
	As       string // the subject in the users' accounts; "" = the same
}

func (s service) local() string {
	if s.As != "" {
		return s.As
	}
	return s.Subject
}

// statePrefix replaces $JS.API, the JetStream API's prefix, if one account asks for the state of
// another's streams, or the vault purges RESULTS. Under the usual one the broker would answer for
// their own accounts.
const statePrefix = "state"

func stateSubject(stream string) string { return statePrefix + ".STREAM.INFO." + stream }
func purgeResultsSubject() string       { return statePrefix + ".STREAM.PURGE." + streamResults }

// services are all that crosses. Between VAULT and RELAY that is what one writes for the other to
// read; the relay's hint that a bag is stored, which wakes the vault and is not kept; and the state
// of RESULTS and its purge, whose answers the vault takes as hints, so that no merchant's results
// use up another's room (specification 8). Courier and monitor own nothing and have their own
// accounts: a stolen key of theirs can do what is named here, and reach no stream by a reply
// subject.
func services() []service {
	all := []service{
		{Subject: "bag.*", Owner: accountVault, Users: []string{accountRelay}},
		{Subject: storedPrefix + "bag.*", Owner: accountVault, Users: []string{accountRelay}},
		{Subject: "res.*.*.*", Owner: accountRelay, Users: []string{accountVault, accountCourier}},
		{Subject: "notice.*", Owner: accountRelay, Users: []string{accountVault, accountCourier}},
		{Subject: directSubject(streamEnvelopes), Owner: accountVault, Users: []string{accountCourier}, Streamed: true},
		{Subject: directSubject(streamResults), Owner: accountRelay, Users: []string{accountCourier}, Streamed: true},
		{Subject: directSubject(streamNotices), Owner: accountRelay, Users: []string{accountCourier}, Streamed: true},
	}
	for stream, owner := range streamOwners() {
		users := []string{accountCourier, accountMonitor}
		if stream == streamResults {
			users = append(users, accountVault)
		}
		all = append(all, service{Subject: infoSubject(stream), Owner: owner, Users: users, As: stateSubject(stream)})
	}
	all = append(all, service{Subject: purgeSubject(streamResults), Owner: accountRelay, Users: []string{accountVault}, As: purgeResultsSubject()})
	slices.SortFunc(all, func(a, b service) int { return strings.Compare(a.Subject, b.Subject) })
	return all
}

func inboxPrefix(role string) string { return "_INBOX_" + role }

func (c Configuration) accounts() []account {
	accounts := []account{
		{Name: accountVault, JetStream: true, Users: c.vaultUsers()},
		{Name: accountRelay, JetStream: true, Users: c.relayUsers()},
		{Name: accountCourier},
		{Name: accountMonitor},
	}
	for i := range accounts {
		a := &accounts[i]
		for _, s := range services() {
			if s.Owner == a.Name {
				a.Exports = append(a.Exports, s)
			}
			if slices.Contains(s.Users, a.Name) {
				a.Imports = append(a.Imports, s)
			}
		}
	}
	accounts[2].Users = visitor(c.Courier, "courier", accounts[2].Imports)
	accounts[3].Users = visitor(c.Monitor, "monitor", accounts[3].Imports)
	return accounts
}

// visitor is a key that may only use what its account imports.
func visitor(nkey, role string, imports []service) []user {
	if nkey == "" {
		return nil
	}
	u := user{Nkey: nkey, Subscribe: inbox(role)}
	for _, i := range imports {
		u.Publish = append(u.Publish, i.local())
	}
	return []user{u}
}

func (c Configuration) vaultUsers() []user {
	var users []user
	if c.Vault != "" {
		users = append(users, user{Nkey: c.Vault,
			Publish: []string{"res.*.*.*", "notice.*", "journal.*",
				directSubject(streamEnvelopes), getSubject(streamEnvelopes), infoSubject(streamEnvelopes), purgeSubject(streamEnvelopes),
				getSubject(streamJournal), infoSubject(streamJournal), stateSubject(streamResults), purgeResultsSubject()},
			Subscribe: append(inbox("vault"), storedPrefix+"bag.*")})
	}
	return append(users, keeper(c.VaultKeeper)...)
}

func (c Configuration) relayUsers() []user {
	var users []user
	for _, r := range c.Relays {
		bag := "bag.*"
		if r.Name != "" {
			bag = "bag." + r.Name
		}
		users = append(users, user{Nkey: r.Nkey, InProcess: c.RelayInProcess,
			Publish:   []string{bag, storedPrefix + bag, directSubject(streamResults), directSubject(streamNotices), infoSubject(streamResults), infoSubject(streamNotices)},
			Subscribe: append(inbox("relay"), storedPrefix+"res.*.*.*", storedPrefix+"notice.*")})
	}
	return append(users, keeper(c.RelayKeeper)...)
}

func keeper(nkey string) []user {
	if nkey == "" {
		return nil
	}
	return []user{{Nkey: nkey, InProcess: true, Publish: []string{"$JS.API.>"}, Subscribe: inbox("keeper")}}
}

func inbox(role string) []string { return []string{inboxPrefix(role) + ".>"} }

func directSubject(stream string) string { return "$JS.API.DIRECT.GET." + stream }
func getSubject(stream string) string    { return "$JS.API.STREAM.MSG.GET." + stream }
func infoSubject(stream string) string   { return "$JS.API.STREAM.INFO." + stream }
func purgeSubject(stream string) string  { return "$JS.API.STREAM.PURGE." + stream }

// Text is the broker's configuration file. It holds public keys and paths, no secrets.
func (c Configuration) Text() (string, error) {
	if c.Listen != "" && (c.Cert == "" || c.Key == "") {
		return "", fmt.Errorf("channel listener %s: certificate and key are needed, the channel speaks TLS only", c.Listen)
	}
	if c.Dir == "" || c.MaxStore <= 0 {
		return "", fmt.Errorf("channel store: a directory and a size are needed")
	}
	for _, s := range []string{c.Name, c.Listen, c.Cert, c.Key, c.ClientCA, c.Dir} {
		if strings.ContainsFunc(s, unicode.IsControl) {
			return "", fmt.Errorf("channel configuration: %q holds a control character", s)
		}
	}
	var b strings.Builder
	c.server(&b)
	b.WriteString("accounts {\n")
	for _, a := range c.accounts() {
		a.text(&b)
	}
	b.WriteString("}\n")
	return b.String(), nil
}

func (c Configuration) server(b *strings.Builder) {
	fmt.Fprintf(b, "server_name: %s\n", quote(c.Name))
	if c.Listen != "" {
		fmt.Fprintf(b, "listen: %s\ntls {\n  cert_file: %s\n  key_file: %s\n", quote(c.Listen), quote(c.Cert), quote(c.Key))
		if c.ClientCA != "" {
			fmt.Fprintf(b, "  ca_file: %s\n  verify: true\n", quote(c.ClientCA))
		}
		b.WriteString(`  min_version: "1.3"
  handshake_first: true
  timeout: 5
}
`)
	}
	fmt.Fprintf(b, `max_payload: %d
max_connections: %d
jetstream {
  store_dir: %s
  max_memory_store: 0
  max_file_store: %d
  sync_interval: always
  strict: true
}
`, maxPayload, maxConnections, quote(c.Dir), c.MaxStore)
}

func (a account) text(b *strings.Builder) {
	fmt.Fprintf(b, "  %s {\n", a.Name)
	if a.JetStream {
		b.WriteString("    jetstream: enabled\n")
	}
	b.WriteString("    exports: [\n")
	for _, s := range a.Exports {
		streamed := ""
		if s.Streamed {
			streamed = `, response_type: "stream"`
		}
		fmt.Fprintf(b, "      { service: %s, accounts: %s, response_threshold: \"1m\"%s }\n", quote(s.Subject), list(s.Users), streamed)
	}
	b.WriteString("    ]\n    imports: [\n")
	for _, s := range a.Imports {
		as := ""
		if s.As != "" {
			as = ", to: " + quote(s.As)
		}
		fmt.Fprintf(b, "      { service: { account: %s, subject: %s }%s }\n", s.Owner, quote(s.Subject), as)
	}
	b.WriteString("    ]\n    users: [\n")
	for _, u := range a.Users {
		u.text(b)
	}
	b.WriteString("    ]\n  }\n")
}

func (u user) text(b *strings.Builder) {
	where := ""
	if u.InProcess {
		where = `, allowed_connection_types: ["IN_PROCESS"]`
	}
	fmt.Fprintf(b, `      { nkey: %s%s
        permissions: {
          publish: { allow: %s }
          subscribe: { allow: %s }
        } }
`, u.Nkey, where, list(u.Publish), list(u.Subscribe))
}

func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func list(subjects []string) string {
	quoted := make([]string, len(subjects))
	for i, s := range subjects {
		quoted[i] = strconv.Quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}
