"""Training: the model and its parts, the metrics, the checkpoints it resumes from."""
