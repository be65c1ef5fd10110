"""What turns a batch of requests into one model's scores: columns, the model, and the card it comes with."""
