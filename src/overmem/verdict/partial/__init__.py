"""Verdicts on results that other tools measured: on answers alone, on shares right alone, with a stand-in."""
