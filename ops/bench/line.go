package main

import "fmt"

// line is one figure as it is printed.
type line struct {
	Name   string
	Value  float64
	Unit   string
	Ratio  float64 // to what the figure is compared with; of a figure of memory, to its target
	Target float64
}

func (l line) String() string {
	return fmt.Sprintf("bench: %s value=%.1f unit=%s ratio=%.3f target=%g", l.Name, l.Value, l.Unit, l.Ratio, l.Target)
}
