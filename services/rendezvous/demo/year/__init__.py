"""`make year`: 2013's departures in order through the real services, with the retraining loop on."""
