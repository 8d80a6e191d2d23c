"""The coordinator: it asks, predicts, dispatches and tells, and never imports keras.

loop           run_study
screening      between engine and pool: a suggestion is predicted before it is trained
trials         a trial's life, as pure functions
taking_over    another study's ledger as a beginning
quiet          what is measured with nothing else running
confirming     front points trained again, with fresh seeds
to_confirm     which points, in which order, with which seeds
confirmations  what came of each, as the ledger keeps it
transferring   run_transfer: every pre-training, every fine-tuning that starts from one
comparing      archs measured against each other
workers        the settings of a run, a pool by them, the jobs that are under way in it
watching, underway, tally, noting   what is told while it runs, and kept of it
"""
