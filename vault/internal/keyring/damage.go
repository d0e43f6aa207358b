package keyring

import (
	"path/filepath"
	"strconv"
)

// Damage is what Unlock or KeepStored found damaged in a file of keys.
type Damage struct {
	File    string // its name, without a directory
	Sealing bool   // of sealing keys; else of stored accounts
	// neither copy of these keys opens: they are lost; else they were mended from the copy that
	// does
	Lost bool
	Keys []string // names of sealing keys, or slots of stored accounts
}

// Damage returns what was found damaged since the last call, for the log. A crash before it is
// logged loses only the report of what was mended: lost keys are detected again at the next start.
func (r *Ring) Damage() []Damage {
	r.damageMu.Lock()
	defer r.damageMu.Unlock()
	list := r.damage
	r.damage = nil
	return list
}

// found keeps damage for Damage, where there is any.
func (r *Ring) found(path string, lost bool, keys []string) {
	if len(keys) == 0 {
		return
	}
	r.damageMu.Lock()
	defer r.damageMu.Unlock()
	name := filepath.Base(path)
	r.damage = append(r.damage, Damage{File: name, Sealing: name == sealingFile, Lost: lost, Keys: keys})
}

// foundAtStart keeps that the keys in these slots of stored.keys are lost.
func (r *Ring) foundAtStart(path string, slots []uint32) {
	r.damageMu.Lock()
	r.lost = map[uint32]bool{}
	for _, slot := range slots {
		r.lost[slot] = true
	}
	r.damageMu.Unlock()
	r.found(path, true, slotNames(slots))
}

// foundInUse keeps that a key of stored.keys was lost since the start, and logs it: once, however
// often its account is asked for.
func (r *Ring) foundInUse(path string, slot uint32, err error) {
	r.damageMu.Lock()
	known := r.lost[slot]
	if r.lost == nil {
		r.lost = map[uint32]bool{}
	}
	r.lost[slot] = true
	r.damageMu.Unlock()
	if !known {
		r.log.Error("the key of a stored account is damaged: the account cannot be used, its shop must store it again", "error", err)
		r.found(path, true, slotNames([]uint32{slot}))
	}
}

func slotNames(slots []uint32) (names []string) {
	for _, slot := range slots {
		names = append(names, strconv.FormatUint(uint64(slot), 10))
	}
	return names
}
