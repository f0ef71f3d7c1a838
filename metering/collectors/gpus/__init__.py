"""GPUs of this node, read from their drivers: whose they are for how long (held), per vendor (nvml, amd), and what is known meanwhile (rolling).

Drivers are read in child processes (probing, *_probe.py), which import nothing of ours.
"""
