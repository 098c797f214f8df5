"""What wraps a stage: arguments, params, lock, signals, and what a killed one resumes from."""
