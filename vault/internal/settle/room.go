package settle

// hasRoom is Config.Room where there is one. While it fails no request is begun; captures,
// reversals and what is under way go on.
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

// watchRoom has the requests that waited for disk space reconsidered when there is some again.
func (e *Engine) watchRoom() {
	if e.held.Load() && e.hasRoom() == nil && e.held.CompareAndSwap(true, false) {
		e.breaker.again()
	}
}
