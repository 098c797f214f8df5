"""Writes down which system calls the confined process needs; see __main__.py."""
