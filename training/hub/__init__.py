"""The centre: what stations report to, and where the next model begins.

Enters: signed segments of stations' ledgers, sample images, people's questions. Leaves: signed
acknowledgements, an index over every station's parts, the fleet page, complaints that become
samples. ``tables`` has every table, ``blobs`` the images and segments, ``app`` the service.
Nothing in ``inspector/`` imports this.
"""
