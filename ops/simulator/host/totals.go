package host

import (
	"fmt"
	"slices"
	"strings"
)

// Form is how the host answers a 0500, for hosts differ in it.
type Form string

// The forms.
const (
	// response code, settlement code, and the host's own totals; the default
	FormWhole    Form = "whole"
	FormCode     Form = "settlement-code"     // field 66 alone: no response code, no totals
	FormAnswer   Form = "response-code"       // field 39 alone: 00 or 95
	FormCurrency Form = "settlement-currency" // whole, but field 50 in place of 49, and no 60
	// refused with code 40: the host does not compare totals
	FormRefused Form = "unsupported"
	FormSilent  Form = "silent" // not answered at all
)

// forms lists them all.
var forms = []Form{FormWhole, FormCode, FormAnswer, FormCurrency, FormRefused, FormSilent}

// Forms names them, for help texts.
func Forms() string {
	names := make([]string, len(forms))
	for i, f := range forms {
		names[i] = string(f)
	}
	return strings.Join(names, ", ")
}

// Check reports whether there is such a form; "" is FormWhole.
func (f Form) Check() error {
	if f != "" && !slices.Contains(forms, f) {
		return fmt.Errorf("there is no form %q of an answer to a 0500; they are %s", f, Forms())
	}
	return nil
}

// codeUnsupported is what a host says of a message that it does not know.
const codeUnsupported = "40"

// fields are those of the answer; one that is empty is left out of it. asked is the currency that
// was asked for.
func (f Form) fields(ours Total, agreed bool, asked string) map[int]string {
	whole := totalFields(ours, agreed)
	switch f {
	case FormCode:
		return map[int]string{66: whole[66]}
	case FormAnswer:
		return map[int]string{39: whole[39]}
	case FormCurrency:
		whole[49], whole[50], whole[60] = "", asked, ""
	case FormRefused:
		return map[int]string{39: codeUnsupported}
	}
	return whole
}

// manner is how the answer goes out.
func (f Form) manner(how Mishap) Mishap {
	if f == FormSilent {
		return DropAnswer
	}
	return how
}
