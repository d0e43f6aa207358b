package book

// Memory is a State in maps: for checks and replays of a log, and for tests. NewMemory makes one; about 1 KB a payment.
type Memory struct {
	TheVault  Vault
	Merchants map[string]Merchant
	Payments  map[Key]Payment
	Batches   map[uint32]Batch
	Runs      map[RunKey]Run
	Bags      map[BagKey]Bag
	Tokens    map[Key]Token // by merchant and token
	Blocks    map[Key]Block // by merchant and fingerprint
	Files     map[string]File
	Entries   map[string]Entry
	Auditors  map[string]Auditor
	Findings  map[uint64]Found // by number
}

// Key names a payment, a token or a block in Memory.
type Key struct{ Merchant, ID string }

// RunKey names a run in Memory.
type RunKey struct{ Relay, Run string }

// BagKey names a bag in Memory.
type BagKey struct {
	Relay, Run string
	Number     uint64
}

var _ State = (*Memory)(nil)

// NewMemory returns the state before the first event.
func NewMemory() *Memory {
	return &Memory{Merchants: map[string]Merchant{}, Payments: map[Key]Payment{}, Batches: map[uint32]Batch{},
		Runs: map[RunKey]Run{}, Bags: map[BagKey]Bag{}, Tokens: map[Key]Token{}, Blocks: map[Key]Block{}, Files: map[string]File{}, Entries: map[string]Entry{},
		Auditors: map[string]Auditor{}, Findings: map[uint64]Found{}}
}

// Vault implements State.
func (m *Memory) Vault() (Vault, error) { return m.TheVault, nil }

// PutVault implements State.
func (m *Memory) PutVault(v Vault) error {
	m.TheVault = v
	return nil
}

// Merchant implements State.
func (m *Memory) Merchant(id string) (Merchant, bool, error) {
	v, ok := m.Merchants[id]
	return v, ok, nil
}

// PutMerchant implements State.
func (m *Memory) PutMerchant(v Merchant) error {
	m.Merchants[v.ID] = v
	return nil
}

// Payment implements State.
func (m *Memory) Payment(merchant, id string) (Payment, bool, error) {
	v, ok := m.Payments[Key{merchant, id}]
	return v, ok, nil
}

// PutPayment implements State.
func (m *Memory) PutPayment(v Payment) error {
	m.Payments[Key{v.Merchant, v.ID}] = v
	return nil
}

// Batch implements State.
func (m *Memory) Batch(number uint32) (Batch, bool, error) {
	v, ok := m.Batches[number]
	return v, ok, nil
}

// PutBatch implements State.
func (m *Memory) PutBatch(v Batch) error {
	m.Batches[v.Number] = v
	return nil
}

// Run implements State.
func (m *Memory) Run(relay, run string) (Run, bool, error) {
	v, ok := m.Runs[RunKey{relay, run}]
	return v, ok, nil
}

// PutRun implements State.
func (m *Memory) PutRun(v Run) error {
	m.Runs[RunKey{v.Relay, v.ID}] = v
	return nil
}

// Bag implements State.
func (m *Memory) Bag(relay, run string, number uint64) (Bag, bool, error) {
	v, ok := m.Bags[BagKey{relay, run, number}]
	return v, ok, nil
}

// PutBag implements State.
func (m *Memory) PutBag(v Bag) error {
	m.Bags[BagKey{v.Relay, v.Run, v.Number}] = v
	return nil
}

// Token implements State.
func (m *Memory) Token(merchant, token string) (Token, bool, error) {
	v, ok := m.Tokens[Key{merchant, token}]
	return v, ok, nil
}

// PutToken implements State.
func (m *Memory) PutToken(v Token) error {
	m.Tokens[Key{v.Merchant, v.Token}] = v
	return nil
}

// Block implements State.
func (m *Memory) Block(merchant, fingerprint string) (Block, bool, error) {
	v, ok := m.Blocks[Key{merchant, fingerprint}]
	return v, ok, nil
}

// PutBlock implements State.
func (m *Memory) PutBlock(v Block) error {
	m.Blocks[Key{v.Merchant, v.Fingerprint}] = v
	return nil
}

// File implements State.
func (m *Memory) File(name string) (File, bool, error) {
	v, ok := m.Files[name]
	return v, ok, nil
}

// PutFile implements State.
func (m *Memory) PutFile(v File) error {
	m.Files[v.Name] = v
	return nil
}

// Entry implements State.
func (m *Memory) Entry(trace string) (Entry, bool, error) {
	v, ok := m.Entries[trace]
	return v, ok, nil
}

// PutEntry implements State.
func (m *Memory) PutEntry(v Entry) error {
	m.Entries[v.Trace] = v
	return nil
}

// Auditor implements State.
func (m *Memory) Auditor(name string) (Auditor, bool, error) {
	v, ok := m.Auditors[name]
	return v, ok, nil
}

// PutAuditor implements State.
func (m *Memory) PutAuditor(v Auditor) error {
	m.Auditors[v.Name] = v
	return nil
}

// Finding implements State.
func (m *Memory) Finding(number uint64) (Found, bool, error) {
	v, ok := m.Findings[number]
	return v, ok, nil
}

// PutFinding implements State.
func (m *Memory) PutFinding(v Found) error {
	m.Findings[v.Number] = v
	return nil
}
