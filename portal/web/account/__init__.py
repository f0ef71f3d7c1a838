"""What readers do about themselves: the front door, how they want to see things, where they are signed in, the end of a visit."""
