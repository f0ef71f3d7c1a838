"""Who is of a tenant: members and their roles, invitations, and operators who look in for a while (visits).

A change of role or a departure reaches the person's keys in the same transaction.
"""
