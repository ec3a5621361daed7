"""`format`: the strings each format stands for, as patterns.

Narrower than the standards where they are generous: UUIDs in lower case, no leap seconds, host names of a few labels,
no quoted mailbox names. A format that is not listed here says nothing, as JSON Schema has it.
"""

from __future__ import annotations

_YEAR = "([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_LEAP_YEAR = "([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)"
_MONTH_DAY = "((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
_DATE = f"({_YEAR}-{_MONTH_DAY}|{_LEAP_YEAR}-02-29)"
_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,24}[A-Za-z0-9])?"
_HOST = f"({_LABEL}\\.){{0,4}}[A-Za-z]{{2,20}}"
_DOMAIN = "([A-Za-z0-9]+(-[A-Za-z0-9]+)*\\.)+[A-Za-z]{2,20}"
_ATOM = "[A-Za-z0-9_+-]"
_EMAIL = f"{_ATOM}{{1,30}}(\\.{_ATOM}{{1,30}})?@{_DOMAIN}"
_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_GROUP = "[0-9A-Fa-f]{1,4}"
_IPV6 = "|".join(
    [
        f"({_GROUP}:){{7}}{_GROUP}",
        f"::({_GROUP}(:{_GROUP}){{0,5}})?",
        *(f"{_GROUP}(:{_GROUP}){{{n - 1}}}::" + f"({_GROUP}(:{_GROUP}){{0,{5 - n}}})?" * (n < 6) for n in range(1, 7)),
    ]
)
_PATH_CHAR = "([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
_TAIL = f"(/{_PATH_CHAR}*)*(\\?({_PATH_CHAR}|[/?])*)?(#({_PATH_CHAR}|[/?])*)?"
_URI = f"[a-z][a-z0-9+.-]{{1,15}}://{_DOMAIN}(:[1-9][0-9]{{0,3}})?{_TAIL}"
_POINTER = "(/([^/~]|~[01])*)*"
_DAYS = "([0-9]{1,4}Y([0-9]{1,4}M([0-9]{1,4}D)?)?|[0-9]{1,4}M([0-9]{1,4}D)?|[0-9]{1,4}D)"
_HOURS = "T([0-9]{1,4}H([0-9]{1,4}M([0-9]{1,4}S)?)?|[0-9]{1,4}M([0-9]{1,4}S)?|[0-9]{1,4}S)"

FORMATS: dict[str, str] = {
    name: f"^({pattern})$"
    for name, pattern in {
        "date": _DATE,
        "time": _TIME,
        "date-time": f"{_DATE}T{_TIME}",
        "duration": f"P({_DAYS}({_HOURS})?|{_HOURS}|[0-9]{{1,4}}W)",
        "uuid": "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        "email": _EMAIL,
        "idn-email": _EMAIL,
        "hostname": _HOST,
        "idn-hostname": _HOST,
        "ipv4": f"({_OCTET}\\.){{3}}{_OCTET}",
        "ipv6": _IPV6,
        "uri": _URI,
        "iri": _URI,
        "uri-reference": f"{_URI}|{_TAIL}",
        "iri-reference": f"{_URI}|{_TAIL}",
        "json-pointer": _POINTER,
        "relative-json-pointer": f"(0|[1-9][0-9]{{0,8}})(#|{_POINTER})",
    }.items()
}
"""Format name to a pattern that is anchored at both ends."""
