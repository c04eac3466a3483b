"""The centre's half: pictures and labels enter, measured and signed models leave.

Nothing in ``inspector/`` imports this package or torch; this package imports only
``inspector.part``, ``config``, ``tools``, ``recipe`` and, for the virtual product, ``virtual``.
"""
