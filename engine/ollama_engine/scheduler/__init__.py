"""Which model is in memory, for how long, and where.

placement.py    model + options + free memory -> how to load it, or why not
residency.py    `Scheduler`: leases on loaded models; loads, keep-alive, eviction, unloading
resident.py     one loaded (or loading) model
"""
