"""What PostgreSQL guards by itself: the wall between tenants, the triggers that models declare; and the one door to a read replica.

Nothing here knows a model: the models declare what they need of it.
"""
