"""What a store is, and what is wrong with it for herenow.

``facts`` are what was found, as data; ``asking`` finds them, by commands that write nothing; ``findings``
says what is wrong and what to do, from the facts alone.
"""

from herenow.doctor.asking import examine
from herenow.doctor.facts import Facts, Node, Online, Replica
from herenow.doctor.findings import Finding, findings

__all__ = ["Facts", "Finding", "Node", "Online", "Replica", "examine", "findings"]
