"""A simulated district that talks to the real doors: for demonstrations, load, drills and tests (HUB-DS-09).

District(seed, residents, end=...) -> organisations, staff, people, messages in order of time, the cast
"""

from healthbrain.twin.district import Cast, District, Truth
from healthbrain.twin.institutions import Institution, Staff
from healthbrain.twin.outgoing import Outgoing
from healthbrain.twin.people import Resident

__all__ = ["Cast", "District", "Institution", "Outgoing", "Resident", "Staff", "Truth"]
