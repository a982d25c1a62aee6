"""The world: real people and cities, what is true of them, and a model that has read about them.

>>> from canonlib import world
>>> world.facts("Einstein")["occupation"]
'physicist'
>>> world.holds("Einstein", country="Germany")
True
"""

from canonlib.world.table import cities, countries, entities, facts, holds, people

__all__ = ["cities", "countries", "entities", "facts", "holds", "people"]
