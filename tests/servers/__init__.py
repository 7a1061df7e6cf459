"""Real servers for tests: started from binaries that are there, without any set-up."""
