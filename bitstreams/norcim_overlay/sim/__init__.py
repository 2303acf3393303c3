"""Simulation of the overlay."""
