"""A platform's past, made up: tenants with seasons, growth, incidents and GPU fleets, whose true totals are known beside the ledger.

plans     who the tenants are and what shapes their use                                (pure)
days      what each of them does on a day: events, calls, readings                     (pure)
truth     what it adds up to, by plain arithmetic that shares nothing with the product  (pure)
loading   the same days, through the product's own tables
checking  rollups and bills against the truth
"""
