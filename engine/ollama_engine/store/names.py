"""Model names: `[scheme://][host/][namespace/]model[:tag]` (spec §7.1).

A `ModelName` cannot exist unless all four parts are valid, so whoever holds one may build a path of them: no
part starts with a dot, none holds a slash, a NUL or anything beyond ASCII. The store keys its manifests by
names, the registry client its URLs, the API its answers (`display`).
"""

from __future__ import annotations

import re

from msgspec import Struct

from ollama_engine.errors import InvalidName

DEFAULT_HOST = "registry.ollama.ai"
DEFAULT_NAMESPACE = "library"
DEFAULT_TAG = "latest"
DEFAULT_SCHEME = "https"

_SCHEMES = ("https", "http")
_RULES = {
    "host": (350, re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]*"), "letters, digits and _ - . :"),
    "namespace": (80, re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*"), "letters, digits and _ -"),
    "model": (80, re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*"), "letters, digits and _ - ."),
    "tag": (80, re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*"), "letters, digits and _ - ."),
}


class ModelName(Struct, frozen=True):
    """Four valid parts, in the case they were written in, and the scheme to reach the host by.

    Equality is exact; `same` compares as Ollama does, without regard to case or scheme. InvalidName when a
    part is not valid.
    """

    host: str
    namespace: str
    model: str
    tag: str
    scheme: str = DEFAULT_SCHEME

    def __post_init__(self) -> None:
        for kind, part in zip(_RULES, self.parts, strict=True):
            if fault := _fault(kind, part):
                raise _invalid(self.full, fault)
        if self.scheme not in _SCHEMES:
            raise _invalid(f"{self.scheme}://{self.full}", "the scheme must be https or http")

    @property
    def parts(self) -> tuple[str, str, str, str]:
        """Host, namespace, model, tag: the folders and the file of the manifest below `manifests/`."""
        return (self.host, self.namespace, self.model, self.tag)

    @property
    def full(self) -> str:
        """`host/namespace/model:tag`, nothing left out but the scheme."""
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"

    @property
    def display(self) -> str:
        """The shortest form that parses back to the same name; the tag is always shown."""
        if self.host.lower() != DEFAULT_HOST:
            return self.full
        if self.namespace.lower() != DEFAULT_NAMESPACE:
            return f"{self.namespace}/{self.model}:{self.tag}"
        return f"{self.model}:{self.tag}"

    @property
    def key(self) -> str:
        """`full` in lower case: equal for two names that are the `same`."""
        return self.full.lower()

    def same(self, other: ModelName) -> bool:
        return self.key == other.key

    def __str__(self) -> str:
        return self.display


def parse(text: str) -> ModelName:
    """The name that `text` means, with Ollama's defaults for what it leaves out.

    Read from the right: the tag after the last colon if no slash follows it, then model, namespace and host.
    InvalidName says which part is at fault.
    """
    scheme, rest = _cut_scheme(text)
    tag = DEFAULT_TAG
    if rest.rfind(":") > rest.rfind("/"):
        rest, _, tag = rest.rpartition(":")
    parts = rest.split("/")
    if len(parts) > 3:
        raise _invalid(text, "it has more parts than host/namespace/model")
    if scheme and len(parts) < 3:
        raise _invalid(text, "after a scheme, host, namespace and model must all be given")
    defaults = (DEFAULT_HOST, DEFAULT_NAMESPACE)
    host, namespace, model = (*defaults[: 3 - len(parts)], *parts)
    for kind, part in (("model", model), ("tag", tag), ("namespace", namespace), ("host", host)):
        if fault := _fault(kind, part):
            raise _invalid(text, fault)
    return ModelName(host, namespace, model, tag, scheme or DEFAULT_SCHEME)


def is_valid_part(kind: str, part: str) -> bool:
    """Whether `part` may stand as the `host`, `namespace`, `model` or `tag` of a name."""
    return not _fault(kind, part)


def _cut_scheme(text: str) -> tuple[str, str]:
    scheme, mark, rest = text.partition("://")
    if not mark:
        return "", text
    if scheme.lower() not in _SCHEMES:
        raise _invalid(text, "the scheme must be https or http")
    return scheme.lower(), rest


def _fault(kind: str, part: str) -> str:
    longest, pattern, allowed = _RULES[kind]
    if not part:
        return f"the {kind} is empty"
    if len(part) > longest:
        return f"the {kind} is longer than {longest} characters"
    if pattern.fullmatch(part):
        return ""
    if "@" in part:
        return "names with an @digest are not supported"
    return f"the {kind} may hold only {allowed}, and begins with a letter, a digit or _"


def _invalid(text: str, fault: str) -> InvalidName:
    shown = text if len(text) <= 100 else text[:97] + "..."
    return InvalidName(
        f"invalid model name {shown!a}: {fault}",
        hint="Write a name as model, model:tag, namespace/model:tag or host/namespace/model:tag.",
    )
