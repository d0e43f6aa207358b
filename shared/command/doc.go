// Package command is what the command lines of our programs share: the root command and its groups,
// errors of usage, exit codes, output as JSON or tables, progress, and files that arguments name.
// It knows none of their subjects.
//
// A command is a file: a private struct of its options, newXCommand that declares and checks them,
// and run(ctx, opts, out), which tests call. An error's text begins with what failed, in lower
// case, and not with the name of its package: [Run] puts the program's name before it.
package command
