"""Which prices hold for whom and when: price books, their versions, tiers and tenants that pay by them. The arithmetic is in pricing/."""
