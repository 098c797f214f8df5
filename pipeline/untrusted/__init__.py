"""What must hold of a directory from elsewhere before anything in it is read.

`plain_files` looks at the directory, `documents` and `arrays` read a file within `limits`, and
`signatures` says who signed it.

It imports nothing of ours.
"""
