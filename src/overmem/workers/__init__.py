"""Workers on many devices, through Ray."""
