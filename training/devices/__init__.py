"""What a run computes on: a device, several, several processes."""
