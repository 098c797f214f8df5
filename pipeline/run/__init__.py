"""A stage is wrapped: arguments, params, lock, signals, and the state that a killed one resumes."""
