"""Training of the models: recipes, optimizers, checkpoints, and one package for each kind of model."""
