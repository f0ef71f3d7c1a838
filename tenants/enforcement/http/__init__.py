"""Decisions over HTTP without a framework: header fields and bodies, who a key stands for, and the decision endpoint. No Django.

The doors that people name in settings and commands stand one floor up: middleware.py, asgi.py, decision.py.
"""
