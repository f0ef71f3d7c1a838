"""What changes a tenant's limits, and what is seen of them: overrides, blocks, requests for more; what is left, who was refused.

How tier and overrides combine is in `tenants/limits.py`; `tenants.enforcement` applies it.
"""
