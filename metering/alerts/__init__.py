"""What is watched and told by itself: quotas near their end, unusual days of spending, usage that nobody can bill."""
