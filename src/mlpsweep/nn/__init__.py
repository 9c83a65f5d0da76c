"""The network: layers, losses, optimisers and schedules as functions of arrays."""
