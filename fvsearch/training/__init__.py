"""Training: a recipe's optimizer, epochs of Keras's `fit`, and segments of them that stop and go on anywhere.

Importing `segment` and `run` loads no keras: a coordinator pickles their records and functions.
"""
