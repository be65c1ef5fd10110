"""From evidence to a better champion: when to retrain, the job, and the verdict on what came of it."""
