// Package tiles reads copies of the vault's log, as proof.TileSource: from a directory, such as an
// auditor's stick, or from any web server. Neither is trusted.
package tiles
