"""What was used: the usage explorer, and the tenant's own panels of the monitoring."""
