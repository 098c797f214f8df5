"""A module a framework: configure, seed, build, adapt, step, end_epoch, predict, save, load."""
