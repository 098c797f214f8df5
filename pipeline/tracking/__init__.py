"""MLflow: what is logged of a complete model, where, and how it is found again."""
