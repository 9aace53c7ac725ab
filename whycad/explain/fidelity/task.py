"""What a task has stored about its methods, in sentences and as a table.

All of it is in ``whycad.map_grades`` and ``whycad.map_tables``, which need no torch: pages import it from there.

``method_sentences(plugin, names)`` gives the UI one sentence per method; ``card_block`` the model card's table.
"""

from __future__ import annotations

from whycad.map_grades import map_grades_of, method_sentence, method_sentences
from whycad.map_tables import card_block, document

__all__ = ["card_block", "document", "map_grades_of", "method_sentence", "method_sentences"]
