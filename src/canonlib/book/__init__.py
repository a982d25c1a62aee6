"""How does it become a page? The notebook runner, the offline figures and the checks on both.

``runner`` executes ``notebooks/*.py`` into ``book/*.ipynb``; ``offline`` (a Sphinx extension) and ``mime`` make the
built pages load nothing from a network; ``check_offline`` and ``pairing`` are the gates.
"""
