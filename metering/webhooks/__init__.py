"""Telling tenants' systems what happened: signed messages, retried for a day, sent only to addresses on the public internet."""
