"""The commands, one module for those that share their options; `cli/app.py` lists them."""
