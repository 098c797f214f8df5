"""A module a framework: configure, build, adapt, fit_epoch, predict, save, load."""
