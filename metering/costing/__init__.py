"""What usage costs: usage rated under the prices in force, for live pages, previews, invoices, dry runs of prices, and projections."""
