"""The tenants' pages: thin views (views/), forms, and what they show, read and drawn here: readings, charts, formats.

No domain rule lives here: numbers come from `metering.usage`, `metering.costing`, `metering.budgets`, access from `tenants.access`.
"""
