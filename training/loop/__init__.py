"""The training loop, and what may end it."""
