"""What an arch costs, before anything is built.

formula       predict: parameters, multiply-adds, bytes, of each part of each stage
cost          what it returns: the items and their totals
habits        what of it is a backend's own way
dtypes        bytes of a number
conditions    what a step depends on beside its arch, and the items that its costs are summed from
calibration   the prices of those items on one device, and how far they err
predictor     an arch's costs by those prices, and whether they are within a study's budget
feasibility   what a budget leaves of a space
"""
