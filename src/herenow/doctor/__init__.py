"""Diagnose a store: what it is, and what is wrong with it for herenow.

``asking`` collects facts by commands that write nothing; ``facts`` holds them as data; ``findings``
derives from them what is wrong and what to do. Nothing here prints.
"""

from herenow.doctor.asking import examine
from herenow.doctor.facts import Facts, Node, Online, Replica
from herenow.doctor.findings import Finding, findings

__all__ = ["Facts", "Finding", "Node", "Online", "Replica", "examine", "findings"]
