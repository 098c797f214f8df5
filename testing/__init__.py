"""What tests and faults share: projects to run in, models, a reader of our own source."""
