"""Runs of collectors and what is kept of them: this node's rounds, reports of nodes without a database, devices, gaps."""
