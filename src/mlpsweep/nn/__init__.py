"""The network: layers, losses, optimisers and schedules as functions of arrays; no data files, no settings files."""
