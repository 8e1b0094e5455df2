"""What a person at a terminal meets: commands, signals, progress, errors in one line."""
