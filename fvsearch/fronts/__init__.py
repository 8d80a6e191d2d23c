"""What a ledger's trials come to; nothing here searches.

standing    on the front, dominated, over budget, stopped, failed or running
rungs       whether a trial goes on, by those that reached the same epoch
volume      the hypervolume that was won, trial by trial
posterior   what the trials together tell of an arch's accuracy, and how surely
"""
