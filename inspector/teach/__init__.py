"""Teaching: pictures of good parts go in, a recipe that knows them comes out.

Stands above the street, like the command line: may import all of it. Callable from wherever a
person teaches; long work tells how far it is.
"""

from inspector.teach.anomaly import MOST_GOOD, Taught, teach_anomaly
from inspector.teach.pictures import Progress, TeachError, picture_files, read_pictures
from inspector.teach.recipe import teach, write_recipe

__all__ = [
    "MOST_GOOD",
    "Progress",
    "Taught",
    "TeachError",
    "picture_files",
    "read_pictures",
    "teach",
    "teach_anomaly",
    "write_recipe",
]
