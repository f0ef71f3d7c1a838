"""What is counted and how it reaches the bill: by Redis (usage_hash, flushing) and by this process (counts, refusals), into the ledger.

`ledger` is the protocol that the billing side fulfils; without Django but for what writes to the database (flushing, refused_hours).
"""
