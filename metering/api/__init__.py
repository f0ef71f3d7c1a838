"""The REST API's doors to usage, quotas, costs, budgets and events."""
