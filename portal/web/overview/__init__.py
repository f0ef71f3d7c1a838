"""The month at a glance, and the first steps of a new tenant."""
