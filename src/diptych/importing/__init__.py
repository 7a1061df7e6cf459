"""Events from elsewhere into a log: in order, in bulk, and each of them once."""
