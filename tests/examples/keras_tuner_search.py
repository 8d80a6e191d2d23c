from pathlib import Path

import keras_tuner

from fvsearch import FunnelHyperModel, load_study

study = load_study("quickstart", ["recipe.epochs=3"])
model = FunnelHyperModel(study.space, study)
tuner = keras_tuner.RandomSearch(
    model, model.objective, max_trials=3, max_consecutive_failed_trials=3, seed=1, directory="runs", project_name="keras-tuner"
)
tuner.search(verbose=0)
best = tuner.get_best_hyperparameters()[0]
print(model.layout(best), tuner.oracle.get_best_trials()[0].score)
model.export(best, Path("runs/keras-tuner/run.toml"), overwrite=True)  # fvsearch train runs/keras-tuner/run.toml trains it
