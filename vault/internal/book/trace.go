package book

// OpenTraces returns the trace numbers of those of p's messages that may still be answered, or sent
// again: of its request or capture, and of its reversal; nil where there is none. At a terminal no
// other message may bear one of them meanwhile, on no day. (The request of a payment that is being
// voided was answered.)
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
