"""More partitions and more server processes: what two cores can show, and a model of the rest."""
