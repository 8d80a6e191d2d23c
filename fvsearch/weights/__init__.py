"""Weights: of a trained or imported model's folder, between archs, between grids, and from and to other libraries."""
