"""The API's plumbing: who calls, pages of lists, errors as problem details, the OpenAPI document, and reports of nodes and Alertmanager.

The routes of tenants, usage and money live in the apps' own `api`.
"""
