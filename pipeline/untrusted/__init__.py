"""What must hold of a directory from elsewhere before anything in it is read."""
