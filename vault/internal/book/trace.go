package book

// OpenTraces returns the trace numbers of p's messages that may still be answered or sent again: of
// its request or capture, and of its reversal; nil where there is none. No other message at the
// terminal may bear one meanwhile, on any day. (The request of a payment being voided was
// answered.)
func (p Payment) OpenTraces() (request, reversal *Trace) {
	switch p.Stage {
	case StageAuthorising, StageCapturing, StageUnknown, StageVoiding, StageManual, StageCorrecting:
		if p.Void != "" || p.AtHost {
			return nil, p.Reversal
		}
		return p.Trace, p.Reversal
	default:
		return nil, nil
	}
}
