// Package settle moves the money: it authorises the card sales that intake took, reverses those whose outcome is unknown, and
// closes and settles batches with the acquirer host.
//
// Every request to the host is committed to the ledger, with its trace number, before it leaves, and its outcome before anything
// else is done with it. So at any moment a crash leaves one of three things: an intent that may have been sent (the next start
// calls it unknown and reverses it), an outcome, or nothing. A sale is sent once: no answer is never "try again".
package settle
