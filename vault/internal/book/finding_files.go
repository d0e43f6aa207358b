package book

// The findings of the files and disks on which the vault stands.
const (
	FindingKeyLost   Finding = "key-lost"   // neither copy of a key in a file of the key ring opens: what was sealed to it never will
	FindingKeyMended Finding = "key-mended" // one copy of a key was damaged, and written anew from the other: the disk is to be looked at
	FindingDiskLow   Finding = "disk-low"   // a disk has less room than its reserve: nothing new is taken, or no settlement file written
	FindingDiskRoom  Finding = "disk-room"  // there is room again: what waited goes on
)
