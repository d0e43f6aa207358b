package book

// FileMadeAgain tells, before it appears, that a settlement file which was out is put into the outbox once more, byte for byte: a person said
// that the bank has not got it. It changes nothing.
type FileMadeAgain struct {
	Name string `json:"name"`
}

// Kind implements Body.
func (FileMadeAgain) Kind() string { return "file-made-again" }

// madeAgain checks that the file is out.
func (f *fold) madeAgain(b FileMadeAgain) error {
	file, known, err := f.File(b.Name)
	if err != nil {
		return err
	}
	if !known || file.Stage != FileOut {
		return misfit("file %s is not out", b.Name)
	}
	return nil
}
