"""What it costs: the costs of a month and their explorer, invoices down to the readings, budgets with their alerts.

Nothing is computed here that a bill depends on; these modules choose words and place marks on bars.
"""
