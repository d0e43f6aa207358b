// Package command is what the command lines of all our programs share. It knows none of their subjects.
package command
