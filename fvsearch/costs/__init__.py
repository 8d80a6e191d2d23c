"""What an arch costs, before anything is built.

formula       parameters, multiply-adds, bytes; itemised by part and stage
conditions    what a step depends on beside its arch, and the items that its costs are summed from
calibration   the prices of those items on one device, and how far they err
feasibility   what a budget leaves of a space
"""
