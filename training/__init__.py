"""How the embedded model is made: rendering, training, evaluation."""
