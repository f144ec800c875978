"""What a store is, and what is wrong with it for herenow.

``facts`` are what was found, as data; ``asking`` finds them, by commands that write nothing; ``findings``
says what is wrong and what to do, from the facts alone.
"""

from herenow.diagnosis.asking import examine
from herenow.diagnosis.facts import Facts, Node, Online, Replica
from herenow.diagnosis.findings import Finding, findings

__all__ = ["Facts", "Finding", "Node", "Online", "Replica", "examine", "findings"]
