"""What is lost, answered twice or late when processes are killed, stopped and frozen under load."""
