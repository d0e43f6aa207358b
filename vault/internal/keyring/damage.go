package keyring

import (
	"path/filepath"
	"strconv"
)

// Damage is what [Ring.Unlock] or [Ring.KeepStored] found damaged in a file of keys.
type Damage struct {
	File    string // its name, without a directory
	Sealing bool   // of sealing keys; else of stored accounts
	// neither copy of these keys opens; else they were repaired from the copy that does
	Lost bool
	Keys []string // names of sealing keys, or slots of stored accounts
}

// Damage returns what was found damaged since the last call, for the log. A crash before it is
// logged loses only the report of repairs: lost keys are detected again at the next start.
func (r *Ring) Damage() []Damage {
	r.damageMu.Lock()
	defer r.damageMu.Unlock()
	list := r.damage
	r.damage = nil
	return list
}

// recordDamage keeps damage, where there is any, for [Ring.Damage].
func (r *Ring) recordDamage(path string, lost bool, keys []string) {
	if len(keys) == 0 {
		return
	}
	r.damageMu.Lock()
	defer r.damageMu.Unlock()
	name := filepath.Base(path)
	r.damage = append(r.damage, Damage{File: name, Sealing: name == sealingFile, Lost: lost, Keys: keys})
}

// recordLost records that the keys in these slots of stored.keys are lost.
func (r *Ring) recordLost(path string, slots []uint32) {
	r.damageMu.Lock()
	r.lost = map[uint32]bool{}
	for _, slot := range slots {
		r.lost[slot] = true
	}
	r.damageMu.Unlock()
	r.recordDamage(path, true, slotNames(slots))
}

// recordLostInUse records and logs, once a slot, that a key of stored.keys was lost since the
// start.
func (r *Ring) recordLostInUse(path string, slot uint32, err error) {
	r.damageMu.Lock()
	known := r.lost[slot]
	if r.lost == nil {
		r.lost = map[uint32]bool{}
	}
	r.lost[slot] = true
	r.damageMu.Unlock()
	if !known {
		r.log.Error("the key of a stored account is damaged: the account cannot be used, its shop must store it again", "error", err)
		r.recordDamage(path, true, slotNames([]uint32{slot}))
	}
}

func slotNames(slots []uint32) (names []string) {
	for _, slot := range slots {
		names = append(names, strconv.FormatUint(uint64(slot), 10))
	}
	return names
}
