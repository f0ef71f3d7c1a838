"""The front door: login, tokens, limits, and the way to the other services."""
