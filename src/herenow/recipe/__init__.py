"""The keys of the recipe: a set of users a minute, and a string for each user, their last activity.

``layout`` names the keys, ``reading`` reads them, ``auditing`` compares what the site shows with the
truth, ``moving`` imports its users into herenow. Nothing here writes to the site's store.
"""

from herenow.recipe.auditing import Audit, audit
from herenow.recipe.layout import Layout
from herenow.recipe.moving import Moved, Mover
from herenow.recipe.reading import Activity, Reader

__all__ = ["Activity", "Audit", "Layout", "Moved", "Mover", "Reader", "audit"]
