"""Labels of any number of apStar files with a trained model: from paths to a table, in blocks and on all cores.

The modules: ``inputs`` (which files), ``blocks`` (a block of files becomes a table), ``stream`` (many blocks, in
parallel, in order), ``writing`` (tables to a file, part by part), ``training`` (a model from files and a catalog).
"""

from lab2.labelling.blocks import label_block
from lab2.labelling.stream import BLOCK, label_files, label_stream

__all__ = ["BLOCK", "label_block", "label_files", "label_stream"]
