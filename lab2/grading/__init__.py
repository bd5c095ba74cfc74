"""Many students' notebooks: each executed in a copy of its own, and its key numbers beside the reference's.

The modules: ``finding`` (the notebooks in a folder), ``isolation`` (a process with limits, and its end), ``numbers``
(the key numbers of each notebook of the lab), ``reading`` (what one notebook has left behind), ``judging`` (one
notebook, from its copy to its record), ``tables`` (what an instructor reads) and ``checking`` (all of them).

This is no sandbox. A notebook runs as the user who runs the check, and can read, change and send what that user can:
run it in a container, or as a user of its own.
"""

import lazy_loader

from lab2._extras import require

require("lab", "lab2.grading")

# what a process with limits reads a notebook's files with (`reading`) need not load what runs notebooks
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"checking": ["check"]})
