"""What proves who calls: the API keys of tenants, the tokens of operators, and secrets that must be read again.

Who may make and revoke them stands here; whether one is good is asked in `tenants.enforcement`.
"""
