package config

import (
	"errors"
	"strings"
)

// Problem is one thing in a configuration that a program does not start with. As an error it wraps
// Cause, or ErrInvalid where there is none.
type Problem struct {
	// of the configuration file, with its tables; "" is the file as a whole
	Key  string `json:"key"`
	What string `json:"what"`         // is wrong
	Do   string `json:"do,omitempty"` // what to do about it; "" where What says it

	Cause error  `json:"-"` // what the system said; nil where the value itself is wrong
	file  string // of the configuration
}

// Error names the file, the key, what is wrong and what to do.
func (p *Problem) Error() string {
	subject, what := p.Key, p.What
	if subject != "" && strings.HasPrefix(what, "is ") {
		subject, what = "", subject+" "+what // a sentence about the key
	}
	var parts []string
	for _, part := range []string{p.file, subject, what, p.Do} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	text := strings.Join(parts, ": ")
	if p.Cause == nil {
		text += ": " + ErrInvalid.Error()
	}
	return text
}

// Unwrap returns the cause, for the exit code.
func (p *Problem) Unwrap() error {
	if p.Cause != nil {
		return p.Cause
	}
	return ErrInvalid
}

// Problems are all that is wrong with one configuration. What checks a configuration and what
// starts with it collect the same.
type Problems struct {
	file string
	all  []*Problem
}

// NewProblems collects for the configuration file of that name.
func NewProblems(file string) *Problems { return &Problems{file: file} }

// Add notes that a key's value is wrong.
func (p *Problems) Add(key, what, do string) { p.add(&Problem{Key: key, What: what, Do: do}) }

// AddError notes why something that a key names cannot be used; nil is nothing. A Problem keeps its
// words, and its own key after key; of several that are joined each is noted.
func (p *Problems) AddError(key string, err error) {
	if err == nil {
		return
	}
	if parts := joined(err); parts != nil {
		for _, part := range parts {
			p.AddError(key, part)
		}
		return
	}
	if own, ok := errors.AsType[*Problem](err); ok {
		copied := *own
		copied.Key = joinKeys(key, own.Key)
		p.add(&copied)
		return
	}
	p.add(&Problem{Key: key, What: strings.TrimSuffix(err.Error(), ": "+ErrInvalid.Error()), Cause: causeOf(err)})
}

// joined returns the errors that err only joins, as errors.Join does, with no words of its own; nil
// where it is another error.
func joined(err error) []error {
	several, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	var lines []string
	for _, part := range several.Unwrap() {
		lines = append(lines, part.Error())
	}
	if strings.Join(lines, "\n") != err.Error() {
		return nil
	}
	return several.Unwrap()
}

func joinKeys(outer, inner string) string {
	if outer == "" || inner == "" {
		return outer + inner
	}
	return outer + "." + inner
}

func (p *Problems) add(problem *Problem) {
	problem.file = p.file
	p.all = append(p.all, problem)
}

// List is every problem; never nil.
func (p *Problems) List() []Problem {
	list := []Problem{}
	for _, problem := range p.all {
		list = append(list, *problem)
	}
	return list
}

// Err joins all problems, each a line; nil where there is none.
func (p *Problems) Err() error {
	var all []error
	for _, problem := range p.all {
		all = append(all, problem)
	}
	return errors.Join(all...)
}
