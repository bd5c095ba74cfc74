"""Check students' notebooks: execute each in its own copy, and compare its key numbers with the reference.

The modules: ``finding`` (the notebooks in a folder), ``isolation`` (a process with limits), ``numbers`` (the key
numbers of each notebook of the lab), ``reading`` (the results of one notebook), ``judging`` (one notebook, from its
copy to its record), ``tables`` (the tables for the instructor) and ``checking`` (all notebooks).

This is not a sandbox. A notebook runs as the user who runs the check, and can read, change and send whatever that user
can: run it in a container, or as a separate user.
"""

import lazy_loader

from lab2._extras import require

require("lab", "lab2.grading")

# `reading`, which runs in a process with limits, need not load the code that runs notebooks
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"checking": ["check"]})
