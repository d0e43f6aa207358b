// Package simulation proves in tests that no crash and no misbehaviour of an acquirer makes the
// vault charge anybody twice, or lose what it acknowledged: whatever happens, the vault's ledger
// and the books of the acquirer's host and of the bank are equal in the end.
//
// The engine, the ledger, the intake, the ISO 8583 client and the simulator are the real ones, in
// one process under a virtual clock (testing/synctest). TestKillAtEveryIndex kills the vault before
// and after every commit, every message and every step of a file of one settlement, a run for each.
// TestSimulation draws merchants, operations, an adversary, crashes and clock steps from a seed.
//
// What a seed decides is the same in every run: commits are put in an order of the seed's by short
// waits of virtual time, and the adversary decides by what a message is, not by when it comes. So a
// seed that fails replays alone and prints its story:
//
//	make simulate SEEDS=1 FROM=4711
package simulation
