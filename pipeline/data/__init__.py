"""Raw data are files of columns; declared, checked and split they are the arrays of `prepare`."""
