"""What can go wrong with partners and their clients."""

from app.core.errors import Conflict


class NameTaken(Conflict):
    """A partner or client of that name is there already."""

    code = "name_taken"
    title = "The name is taken"
    mend = "Choose another name, or use the one that is there."
