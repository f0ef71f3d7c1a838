"""The tenants' pages: a room for each thing that the portal is about, and below them what every room uses.

In a room, what ends in `_page` parses, calls one function and renders; `_form` and `_forms` read what people type; `_reading` puts
read models into words; `_charts` draws them. The URLs of all rooms are in `urls`; their templates lie in `templates/portal/<room>/`.

No domain rule lives here: numbers come from `metering.usage`, `metering.costing`, `metering.budgets`, access from `tenants.access`.
Who may import whom is in `pyproject.toml` ("Inside the pages"), and why in docs/adr/0029-rooms-of-the-portal.md.
"""
