"""Where texts come from, and how they lie on disk."""
