"""Pages for people; what several of them are made of."""
