"""What a run leaves behind: its folder, checkpoints, history, curves; what it shows meanwhile."""
