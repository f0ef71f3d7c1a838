"""Limits: what is in force and how much of it is used, who hits them, and requests to raise them."""
