"""Where pictures come from: sources, decoding, archives, pins, and putting a data set in place."""
