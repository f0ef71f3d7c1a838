"""How things are written: numbers, money and instants (formats), as the reader wants them (display), meters by their names (meters)."""
