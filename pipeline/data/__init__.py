"""Raw data: its files, the columns that are declared, and the arrays that `prepare` makes."""
