"""Torch, no opinions."""
