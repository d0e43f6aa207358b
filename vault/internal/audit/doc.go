// Package audit is the log as files, for who has no vault: exported as C2SP tlog-tiles
// ([Exporter]), verified from the exported files alone ([Verify]), read and opened from them with
// an auditor's key ([OpenExport]). Auditors link it offline, so it knows neither the database nor
// anything that runs beside it; package merkle has the tree and the form of an entry, package
// replay does the sums of what the entries say.
package audit
