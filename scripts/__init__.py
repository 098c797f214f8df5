"""What stands around the pipeline: a team's server without Docker, and what tests need."""
