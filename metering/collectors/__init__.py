"""Programs that read the world (GPUs, directory trees) and turn it into usage events. See base.py for the protocol."""
