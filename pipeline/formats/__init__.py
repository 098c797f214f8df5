"""One file a format. A format imports a framework and numpy, nothing of ours."""
