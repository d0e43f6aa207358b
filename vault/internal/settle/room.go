package settle

// hasRoom is Config.Room where there is one. While it is not nil no request is begun; captures and
// reversals go on, and what is under way has its outcome and its result.
func (e *Engine) hasRoom() error {
	if e.cfg.Room == nil {
		return nil
	}
	return e.cfg.Room()
}

// admitsByRoom reports whether there is room for a request, and notes where there is not.
func (e *Engine) admitsByRoom() bool {
	if e.hasRoom() != nil {
		e.held.Store(true)
		return false
	}
	return true
}

// watchRoom has the requests that waited for room looked at anew when there is room again.
func (e *Engine) watchRoom() {
	if e.held.Load() && e.hasRoom() == nil && e.held.CompareAndSwap(true, false) {
		e.breaker.again()
	}
}
