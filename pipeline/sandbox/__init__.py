"""The process in which a model is loaded: what it gives up, who watches it, and what it does."""
