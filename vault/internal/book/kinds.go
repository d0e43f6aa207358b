package book

// The names of kinds are permanent.

// Kind implements Body.
func (VaultCreated) Kind() string { return "vault-created" }

// Kind implements Body.
func (VaultUnlocked) Kind() string { return "vault-unlocked" }

// Kind implements Body.
func (VaultLocked) Kind() string { return "vault-locked" }

// Kind implements Body.
func (KeysChanged) Kind() string { return "keys-changed" }

// Kind implements Body.
func (RelaysSet) Kind() string { return "relays-set" }

// Kind implements Body.
func (DirectoryIssued) Kind() string { return "directory-issued" }

// Kind implements Body.
func (MembersIssued) Kind() string { return "members-issued" }

// Kind implements Body.
func (IntegrityFound) Kind() string { return "integrity-found" }

// Kind implements Body.
func (MerchantAdded) Kind() string { return "merchant-added" }

// Kind implements Body.
func (MerchantSuspended) Kind() string { return "merchant-suspended" }

// Kind implements Body.
func (MerchantResumed) Kind() string { return "merchant-resumed" }

// Kind implements Body.
func (ResultsResent) Kind() string { return "results-resent" }

// Kind implements Body.
func (BagCommitted) Kind() string { return "bag-committed" }

// Kind implements Body.
func (EnvelopeReceived) Kind() string { return "envelope-received" }

// Kind implements Body.
func (EnvelopeRejected) Kind() string { return "envelope-rejected" }

// Kind implements Body.
func (PaymentRefused) Kind() string { return "payment-refused" }

// Kind implements Body.
func (AuthorisationIntended) Kind() string { return "authorisation-intended" }

// Kind implements Body.
func (AuthorisationAnswered) Kind() string { return "authorisation-answered" }

// Kind implements Body.
func (AuthorisationUnanswered) Kind() string { return "authorisation-unanswered" }

// Kind implements Body.
func (ReversalIntended) Kind() string { return "reversal-intended" }

// Kind implements Body.
func (ReversalAnswered) Kind() string { return "reversal-answered" }

// Kind implements Body.
func (ReversalAbandoned) Kind() string { return "reversal-abandoned" }

// Kind implements Body.
func (BatchOpened) Kind() string { return "batch-opened" }

// Kind implements Body.
func (BatchClosing) Kind() string { return "batch-closing" }

// Kind implements Body.
func (BatchClosed) Kind() string { return "batch-closed" }

// Kind implements Body.
func (ReconciliationIntended) Kind() string { return "reconciliation-intended" }

// Kind implements Body.
func (ReconciliationAnswered) Kind() string { return "reconciliation-answered" }

// Kind implements Body.
func (PaymentSettled) Kind() string { return "payment-settled" }

// Kind implements Body.
func (BatchSettled) Kind() string { return "batch-settled" }

// Kind implements Body.
func (CaptureIntended) Kind() string { return "capture-intended" }

// Kind implements Body.
func (CaptureAnswered) Kind() string { return "capture-answered" }

// Kind implements Body.
func (CaptureAbandoned) Kind() string { return "capture-abandoned" }

// Kind implements Body.
func (OutcomeUnknown) Kind() string { return "outcome-unknown" }

// Kind implements Body.
func (AuthorisationExpired) Kind() string { return "authorisation-expired" }

// Kind implements Body.
func (PaymentResolved) Kind() string { return "payment-resolved" }

// Kind implements Body.
func (PaymentVoided) Kind() string { return "payment-voided" }

// Kind implements Body.
func (EntryAccepted) Kind() string { return "entry-accepted" }

// Kind implements Body.
func (FileBegun) Kind() string { return "file-begun" }

// Kind implements Body.
func (EntryIntended) Kind() string { return "entry-intended" }

// Kind implements Body.
func (FileIntended) Kind() string { return "file-intended" }

// Kind implements Body.
func (FileWritten) Kind() string { return "file-written" }

// Kind implements Body.
func (AnswerTaken) Kind() string { return "answer-taken" }

// Kind implements Body.
func (PaymentReturned) Kind() string { return "payment-returned" }

// Kind implements Body.
func (ChangeNotified) Kind() string { return "change-notified" }

// Kind implements Body.
func (EntryAcknowledged) Kind() string { return "entry-acknowledged" }

// Kind implements Body.
func (AccountStored) Kind() string { return "account-stored" }

// Kind implements Body.
func (AccountUpdated) Kind() string { return "account-updated" }

// Kind implements Body.
func (AccountForgotten) Kind() string { return "account-forgotten" }

// Kind implements Body.
func (MerchantPolicySet) Kind() string { return "merchant-policy-set" }

// Kind implements Body.
func (VaultStarted) Kind() string { return "vault-started" }

// Kind implements Body.
func (VaultStopped) Kind() string { return "vault-stopped" }

// Kind implements Body.
func (AccessRefused) Kind() string { return "access-refused" }

// Kind implements Body.
func (AuditorAdded) Kind() string { return "auditor-added" }

// Kind implements Body.
func (AuditorRemoved) Kind() string { return "auditor-removed" }

// Kind implements Body.
func (LogExported) Kind() string { return "log-exported" }

// Kind implements Body.
func (PaymentCorrected) Kind() string { return "payment-corrected" }

// Kind implements Body.
func (BatchAdjusted) Kind() string { return "batch-adjusted" }

// Kind implements Body.
func (BatchAgreed) Kind() string { return "batch-agreed" }
