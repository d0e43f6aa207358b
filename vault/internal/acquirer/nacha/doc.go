// Package nacha writes the files that move money between bank accounts of the United States, and reads what the bank answers to them:
// returns, notices of change and acknowledgements (NACHA Operating Rules, appendix three). moov-io/ach says what a file is; this package
// sees to it that an account number never becomes a Go string, and that a file is taken whole or not at all.
package nacha

import _ "github.com/moov-io/ach" // until the package has code
