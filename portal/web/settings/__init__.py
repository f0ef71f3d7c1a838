"""What a tenant's owner may change about it."""
