"""The audit trail in plain words: one sentence for each kind of change (sentences), with old and new values below it (values).

`entries` is what pages ask; `names` looks up who and what the ids of one page stand for.
"""
