"""Which model is in memory, for how long, and where.

placement.py    model + options + free memory -> how to load it, or why not
load_options.py options that callers may set -> fields of the spec of a load
step_down.py    a load that lacks memory is tried once more with less
residency.py    `Scheduler`: leases on loaded models; loads, keep-alive, eviction, unloading
resident.py     one loaded (or loading) model
"""
