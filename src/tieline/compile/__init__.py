"""Compile: catalog + job + run identity → plan. Pure: no file, no network, no clock is read in this room."""
