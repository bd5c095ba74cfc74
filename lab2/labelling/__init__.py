"""Label any number of apStar files with a trained model: from paths to a table, in blocks and on all cores.

The modules: ``inputs`` (lists of files), ``blocks`` (a table from a block of files), ``stream`` (many blocks, in
parallel and in order), ``writing`` (tables to a file, in parts), ``training`` (a model from files and a catalog).
"""

from lab2.labelling.blocks import label_block
from lab2.labelling.stream import BLOCK, label_files, label_stream

__all__ = ["BLOCK", "label_block", "label_files", "label_stream"]
