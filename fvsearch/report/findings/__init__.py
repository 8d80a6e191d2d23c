"""Which findings of the Funnel-ViT report a study found, did not find, or cannot tell, from whatever archs it trained with several seeds.

Evidence in, verdicts out (verdicts.py). Comparisons are found by how archs are related, so they need no list, and a study that trained none
of a kind is told which trainings would tell. Intervals are 95% each, Student's or Welch's, and not corrected for their number.

reading       study_findings: all of them
compression   1: what pooling saves, and costs
pooling       2: mean or max; stride 4 once or 2 twice
reinvestment  4: deeper, wider, larger MLPs; wide first and thin last
convergence   5: in how many steps
more_data     6: what a larger training set changes
comparing     two archs by what is taken of their trainings, and what all pairs say of a claim
quantities    what is taken of a training
pairs         which archs are compared with which
kin           how two archs are related
evidence      what a ledger holds that was trained to the end
"""
