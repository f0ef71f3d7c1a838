"""From a closed period to a paid invoice: drafting, issuing, crediting, paying, documents, closing a month.

A draft is recomputed at will. Issuing freezes it: numbered without gaps, hash-chained, refused by database triggers ever after.
What late events or corrections change afterwards goes on the next invoice as an adjustment that names its origin.
"""
