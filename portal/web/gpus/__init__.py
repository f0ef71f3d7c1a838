"""GPUs: hours held, used and idle with their energy, and what is reserved now."""
