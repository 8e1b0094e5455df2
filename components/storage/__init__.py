"""Places that outlive a process: S3 servers, and the states of trainings."""
