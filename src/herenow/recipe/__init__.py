"""The keys of the recipe: a set of users a minute, a string a user that says when she was last active.

What a site holds that counts who is online by it: ``layout`` names the keys, ``reading`` reads them, and
nothing here writes one; ``auditing`` tells the truth about them, ``moving`` brings them into herenow.
"""

from herenow.recipe.auditing import Audit, audit
from herenow.recipe.layout import Layout
from herenow.recipe.moving import Moved, Mover
from herenow.recipe.reading import Activity, Reader

__all__ = ["Activity", "Audit", "Layout", "Moved", "Mover", "Reader", "audit"]
