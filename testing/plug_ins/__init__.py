"""The smallest framework, format and check that do what they are for, to be put into a project."""
