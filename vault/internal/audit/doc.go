// Package audit has the log as files: exported as C2SP tlog-tiles ([Exporter]), verified from the
// exported files alone ([Verify]), read and opened from them with an auditor's key ([OpenExport]).
// Auditors use it off line, so it imports neither the database nor the daemon; package merkle has
// the tree and the entries' form, package replay folds the events.
package audit
