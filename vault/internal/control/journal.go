package control

// JournalPlace is one of the places in which the log is kept a second time.
type JournalPlace struct {
	Place   string `json:"place"`   // "channel" or "directory"
	Entries int64  `json:"entries"` // the log's first Entries are durable there, as far as is known
	// index of the oldest that is kept: a full place drops its oldest
	First int64 `json:"first"`
	// entries from First up to Read were read there since the unlock, and are as they were written
	Read    int64  `json:"read"`
	Percent int64  `json:"percent"` // how full it is
	Problem string `json:"message,omitempty"`
}
