"""The formats of data files, a module each: what yields (where, record) for every row."""
