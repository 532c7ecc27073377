"""Layers computed without what torch does slowly on the device."""
