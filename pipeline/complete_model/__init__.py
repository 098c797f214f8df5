"""What lies in a complete model beside its formats: the card, and the files that MLflow reads."""
