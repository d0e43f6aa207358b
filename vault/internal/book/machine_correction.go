package book

// correctionMoves are the moves of a person's correction ([PaymentCorrected]).
var correctionMoves = [...]transition{
	{FlowSale, StageApproved, "payment-corrected", to(StageReversed)},
	{FlowSale, StageSettled, "payment-corrected", to(StageReversed)},
	{FlowSale, StageReversed, "payment-corrected", to(StageCorrecting, StageReversed)},
	{FlowSale, StageVoided, "payment-corrected", to(StageCorrecting, StageVoided)},
	// its correction was not answered
	{FlowSale, StageManual, "payment-corrected", to(StageReversed, StageVoided)},
	{FlowSale, StageCorrecting, "reversal-intended", to(StageCorrecting)},
	{FlowSale, StageCorrecting, "reversal-answered", to(StageReversed, StageVoided)},
	{FlowSale, StageCorrecting, "reversal-abandoned", to(StageManual)},
	{FlowSale, StageCorrecting, "payment-resolved", to(StageReversed, StageVoided)},

	{FlowAuthorise, StageAuthorised, "payment-corrected", to(StageReversed)},
	{FlowAuthorise, StageReversed, "payment-corrected", to(StageCorrecting, StageReversed)},
	{FlowAuthorise, StageVoided, "payment-corrected", to(StageCorrecting, StageVoided)},
	{FlowAuthorise, StageManual, "payment-corrected", to(StageReversed, StageVoided)},
	{FlowAuthorise, StageCorrecting, "reversal-intended", to(StageCorrecting)},
	{FlowAuthorise, StageCorrecting, "reversal-answered", to(StageReversed, StageVoided)},
	{FlowAuthorise, StageCorrecting, "reversal-abandoned", to(StageManual)},
	{FlowAuthorise, StageCorrecting, "payment-resolved", to(StageReversed, StageVoided)},
	{FlowAuthorise, StageAuthorised, "capture/payment-corrected", to(StageAuthorised)},
	{FlowAuthorise, StageCompleted, "capture/payment-corrected", to(StageAuthorised)},
	{FlowAuthorise, StageExpired, "capture/payment-corrected", to(StageExpired)},

	{FlowCapture, StageCaptured, "payment-corrected", to(StageDeclined)},
	{FlowCapture, StageSettled, "payment-corrected", to(StageDeclined)},
	{FlowCapture, StageDeclined, "payment-corrected", to(StageCorrecting, StageDeclined)},
	{FlowCapture, StageManual, "payment-corrected", to(StageDeclined)},
	{FlowCapture, StageCorrecting, "reversal-intended", to(StageCorrecting)},
	{FlowCapture, StageCorrecting, "reversal-answered", to(StageDeclined)},
	{FlowCapture, StageCorrecting, "reversal-abandoned", to(StageManual)},
	{FlowCapture, StageCorrecting, "payment-resolved", to(StageDeclined)},

	{FlowRefund, StageApproved, "payment-corrected", to(StageReversed)},
	{FlowRefund, StageSettled, "payment-corrected", to(StageReversed)},
	{FlowRefund, StageReversed, "payment-corrected", to(StageCorrecting, StageReversed)},
	{FlowRefund, StageManual, "payment-corrected", to(StageReversed)},
	{FlowRefund, StageCorrecting, "reversal-intended", to(StageCorrecting)},
	{FlowRefund, StageCorrecting, "reversal-answered", to(StageReversed)},
	{FlowRefund, StageCorrecting, "reversal-abandoned", to(StageManual)},
	{FlowRefund, StageCorrecting, "payment-resolved", to(StageReversed)},
}
