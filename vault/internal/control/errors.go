package control

import (
	"errors"
	"net/http"
)

// Code is the kind of a failure, as specification 9 distinguishes them by exit code.
type Code string

// The kinds of failure.
const (
	CodeFailed      Code = "failed"
	CodeUsage       Code = "usage"
	CodeLocked      Code = "locked"
	CodeNotAllowed  Code = "not-allowed"
	CodeNotFound    Code = "not-found"
	CodeConflict    Code = "conflict"
	CodeIntegrity   Code = "integrity"
	CodeUnavailable Code = "unavailable"
)

// status is the code's HTTP status.
func (c Code) status() int {
	switch c {
	case CodeUsage:
		return http.StatusBadRequest
	case CodeLocked:
		return http.StatusLocked
	case CodeNotAllowed:
		return http.StatusForbidden
	case CodeNotFound:
		return http.StatusNotFound
	case CodeConflict:
		return http.StatusConflict
	case CodeIntegrity:
		return http.StatusUnprocessableEntity
	case CodeUnavailable:
		return http.StatusServiceUnavailable
	case CodeFailed:
	}
	return http.StatusInternalServerError
}

// Error is a failure with its kind. Detail says what to do next and holds no secret.
type Error struct {
	Code   Code   `json:"code"`
	Detail string `json:"detail"`
}

// Error is the detail.
func (e *Error) Error() string { return e.Detail }

// asError gives err its kind: its own, or the one that classify finds.
func asError(err error, classify func(error) Code) *Error {
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	return &Error{Code: classify(err), Detail: err.Error()}
}
