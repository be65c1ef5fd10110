"""Who may answer: versions, aliases, rules and weights. `<endpoint>.control` is the truth, what is here folds it."""
