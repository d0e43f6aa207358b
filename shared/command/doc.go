// Package command is what the command lines of our programs share: the root command and its groups, errors of usage, exit
// codes, output as JSON or tables, progress, and files that arguments name. It knows none of their subjects.
package command
