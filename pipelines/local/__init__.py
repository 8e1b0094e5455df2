"""The pipeline on this machine, in this interpreter or in containers."""
