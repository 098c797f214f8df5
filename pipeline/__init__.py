"""Train a model and export it complete: stages chained by dvc.yaml, configured by conf/."""
