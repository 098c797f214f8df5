"""A module a framework: configure, seed, build, adapt, fit_epoch, predict, save, load."""
