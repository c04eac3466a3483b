"""The plant talks to the station here: the MES by REST (``docs/mes.md``).

Enters: requests of machines with an API key. Leaves: answers from the ledger, commands to the line
over the bus, and records at the desk. The line process stays the only one that obeys; nothing here
can make it wait. Only ``processes.py`` starts ``inspector.plant.process``; no room imports this.
"""
