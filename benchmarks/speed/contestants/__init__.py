"""Ways to make one selection: ours, loops that anyone would write, and other packages.

One module a package. Each function takes a `Problem` and returns an `Answer`; what it has to
prepare for itself, such as a matrix of similarities, is part of its time. A module is imported only
in the process that runs it, so a package that is not installed is missed by its own rows alone.
"""
