"""Places of freight in North America: positions, time zones and road distances."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from math import asin, cos, radians, sin, sqrt
from zoneinfo import ZoneInfo

_HOUR = 3_600_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_EARTH_RADIUS_MILES = 3958.8
# A road is this much longer than the straight line.
_ROAD_FACTOR = 1.17
_MINIMUM_MILES = 5


@dataclass(frozen=True, slots=True)
class Place:
    """
    A city.

    :param state: code of the state, province or Mexican state.
    :param country: ``US``, ``CA`` or ``MX``.
    :param latitude: degrees north.
    :param longitude: degrees east.
    :param time_zone: IANA name.
    """

    city: str
    state: str
    zip_code: str
    country: str
    latitude: float
    longitude: float
    time_zone: str


_ZONES = {
    "C": "America/Chicago",
    "E": "America/New_York",
    "M": "America/Denver",
    "P": "America/Los_Angeles",
    "A": "America/Phoenix",
    "B": "America/Boise",
    "D": "America/Detroit",
    "I": "America/Indiana/Indianapolis",
    "K": "America/Kentucky/Louisville",
    "T": "America/Toronto",
    "V": "America/Vancouver",
    "W": "America/Winnipeg",
    "X": "America/Monterrey",
    "Y": "America/Matamoros",
}
_TABLE = """
Memphis|TN|38118|US|35.0456|-89.9386|C
Laredo|TX|78045|US|27.6306|-99.4803|C
Joliet|IL|60436|US|41.4875|-88.1190|C
Ontario|CA|91761|US|34.0345|-117.5931|P
Carlisle|PA|17013|US|40.2010|-77.2003|E
Cañon City|CO|81212|US|38.4410|-105.2424|M
Reno|NV|89506|US|39.6433|-119.8778|P
Dallas|TX|75241|US|32.6716|-96.7741|C
Houston|TX|77029|US|29.7628|-95.2552|C
San Antonio|TX|78219|US|29.4362|-98.3988|C
El Paso|TX|79936|US|31.7676|-106.3016|M
Fort Worth|TX|76177|US|32.9491|-97.3137|C
McAllen|TX|78503|US|26.1766|-98.2529|C
Atlanta|GA|30336|US|33.7357|-84.5604|E
Savannah|GA|31408|US|32.1137|-81.1723|E
McDonough|GA|30253|US|33.4473|-84.1469|E
Charlotte|NC|28273|US|35.1295|-80.9532|E
Greensboro|NC|27409|US|36.0853|-79.9535|E
Spartanburg|SC|29303|US|34.9960|-81.9774|E
Jacksonville|FL|32218|US|30.4517|-81.6626|E
Lakeland|FL|33811|US|27.9689|-82.0156|E
Miami|FL|33178|US|25.8269|-80.4042|E
Birmingham|AL|35211|US|33.4497|-86.8568|C
Mobile|AL|36602|US|30.6895|-88.0442|C
Nashville|TN|37210|US|36.1384|-86.7411|C
Knoxville|TN|37921|US|35.9794|-83.9785|E
Olive Branch|MS|38654|US|34.9437|-89.8529|C
Little Rock|AR|72206|US|34.6876|-92.2763|C
West Memphis|AR|72301|US|35.1465|-90.1848|C
New Orleans|LA|70126|US|30.0164|-90.0187|C
Oklahoma City|OK|73128|US|35.4309|-97.6230|C
Kansas City|MO|64120|US|39.1351|-94.5106|C
St. Louis|MO|63147|US|38.7139|-90.2376|C
Springfield|MO|65803|US|37.2594|-93.2930|C
Edgerton|KS|66021|US|38.7647|-95.0075|C
Omaha|NE|68138|US|41.1767|-96.1303|C
Des Moines|IA|50313|US|41.6389|-93.6219|C
Minneapolis|MN|55413|US|44.9980|-93.2553|C
Eau Claire|WI|54703|US|44.8414|-91.5087|C
Milwaukee|WI|53154|US|42.8862|-87.9015|C
Chicago|IL|60638|US|41.7814|-87.7705|C
Indianapolis|IN|46241|US|39.7302|-86.2817|I
Louisville|KY|40219|US|38.1392|-85.6922|K
Columbus|OH|43217|US|39.8165|-82.9367|E
Toledo|OH|43605|US|41.6645|-83.5100|E
Detroit|MI|48210|US|42.3372|-83.1304|D
Pittsburgh|PA|15205|US|40.4377|-80.0700|E
Allentown|PA|18106|US|40.5800|-75.5827|E
Elizabeth|NJ|07201|US|40.6708|-74.1875|E
Buffalo|NY|14206|US|42.8801|-78.8101|E
Chicopee|MA|01020|US|42.1746|-72.5748|E
Baltimore|MD|21224|US|39.2871|-76.5556|E
Suffolk|VA|23434|US|36.7282|-76.5836|E
Denver|CO|80216|US|39.7854|-104.9654|M
Salt Lake City|UT|84104|US|40.7500|-111.9250|M
Boise|ID|83705|US|43.5851|-116.2190|B
Phoenix|AZ|85043|US|33.4319|-112.1964|A
Nogales|AZ|85621|US|31.3894|-110.9610|A
Las Vegas|NV|89115|US|36.2159|-115.0672|P
Stockton|CA|95206|US|37.9061|-121.2847|P
Fresno|CA|93725|US|36.6376|-119.7463|P
Portland|OR|97218|US|45.5600|-122.6000|P
Kent|WA|98032|US|47.3838|-122.2584|P
Spokane|WA|99202|US|47.6543|-117.3772|P
Mississauga|ON|L5T 2N7|CA|43.6532|-79.6679|T
Windsor|ON|N9A 6J3|CA|42.2861|-82.9897|T
Montréal|QC|H4S 1Z9|CA|45.4943|-73.7300|T
Winnipeg|MB|R3H 1C2|CA|49.8951|-97.2080|W
Surrey|BC|V3V 7X1|CA|49.1904|-122.8490|V
Nuevo Laredo|TAM|88290|MX|27.4300|-99.5700|Y
Ciudad Juárez|CHH|32690|MX|31.6500|-106.4000|M
Monterrey|NLE|66600|MX|25.7785|-100.1880|X
"""


def _place(row: str) -> Place:
    city, state, zip_code, country, latitude, longitude, zone = row.split("|")
    return Place(city, state, zip_code, country, float(latitude), float(longitude), _ZONES[zone])


# The first seven are those of the records that no rule of the company decides.
PLACES: tuple[Place, ...] = tuple(_place(row) for row in _TABLE.split("\n") if row)


@lru_cache(maxsize=8192)
def road_miles(a: Place, b: Place) -> int:
    """Return the miles by road between two places: at least 5, within one city too."""
    lat_a, lat_b = radians(a.latitude), radians(b.latitude)
    half = (
        sin((lat_b - lat_a) / 2) ** 2
        + cos(lat_a) * cos(lat_b) * sin(radians(b.longitude - a.longitude) / 2) ** 2
    )
    return max(_MINIMUM_MILES, round(2 * _EARTH_RADIUS_MILES * asin(sqrt(half)) * _ROAD_FACTOR))


def utc_offset(place: Place, micros: int) -> int:
    """Return the offset of a place's time zone at a moment, in microseconds: negative west of Greenwich."""
    hour = micros // _HOUR
    first = _offset(place.time_zone, hour // 24 * 24)
    # Only the days of a change need a look at their hours: a look takes long.
    is_same = first == _offset(place.time_zone, hour // 24 * 24 + 24)
    return first if is_same else _offset(place.time_zone, hour)


@lru_cache(maxsize=50_000)
def _offset(time_zone: str, hour: int) -> int:
    # North American zones change at full hours.
    at = _EPOCH + timedelta(hours=hour)
    offset = at.astimezone(ZoneInfo(time_zone)).utcoffset()
    if offset is None:
        raise LookupError(f"{time_zone} has no offset at {at}")
    return offset // timedelta(microseconds=1)
