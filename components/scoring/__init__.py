"""Score every checkpoint of a lane on its stored tasks."""
