// Package tiles reads copies of the vault's log, as [proof.TileSource], from a directory or a web
// server. Neither is trusted.
package tiles
