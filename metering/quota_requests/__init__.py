"""What surrounds a request for a higher limit: its impact, the rules that grant without an operator, who is told, and the end of grants."""
