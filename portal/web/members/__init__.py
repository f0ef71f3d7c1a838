"""Who belongs to the tenant: members with their roles, and invitations on their way."""
