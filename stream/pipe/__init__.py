"""Standard input and output: video through pipes, from and to other programs."""
