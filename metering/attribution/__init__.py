"""Whose is a process that holds a GPU? Five questions in a fixed order, the first answer counts (ADR 21)."""
