"""Recipes: the settings of a run as data, and what is made by them."""
