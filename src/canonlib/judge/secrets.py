"""What must not be shown: the key, wherever it turns up, and characters that steer a terminal."""

from __future__ import annotations

import logging
import re
from urllib.parse import unquote, urlsplit, urlunsplit

HIDDEN = "***"
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters but for tab and line break, and marks that turn the direction of writing."""
LOGGERS = ("openai", "openai._base_client", "openai._response", "httpx", "httpx2", "httpcore", "httpcore.connection",
           "httpcore.http11", "httpcore.http2", "httpcore.proxy")  # fmt: skip
"""Loggers through which requests pass."""


def without_steering(text: str) -> str:
    """``text`` without characters that move a cursor, change colours, or turn the direction of writing.

    >>> without_steering("a\\x1b[31mb\\nc")
    'a[31mb\\nc'
    """
    return _STEERING.sub("", text)


def secrets_of(url: str, key: str) -> list[str]:
    """What must be cut: the key, and what an address holds before its host or after its question mark; longest first."""
    parts = urlsplit(url)
    user, _, password = (parts.netloc.rpartition("@")[0]).partition(":")
    values = [value for pair in parts.query.split("&") for value in pair.partition("=")[2::2]]
    found = {key, user, password, parts.query, *values}
    return sorted({s for text in found if len(text) >= 4 for s in (text, unquote(text))}, key=len, reverse=True)


def bare(url: str) -> str:
    """An address to show: scheme, host, port and path."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def cut(text: str, secrets: list[str]) -> str:
    """``text`` with every secret replaced by ``HIDDEN``."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text


class NoSecrets(logging.Filter):
    """Cuts secrets out of what a logger writes, exceptions included."""

    def __init__(self, secrets: list[str]) -> None:
        super().__init__()
        self.secrets = secrets

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true: the record is mended, not dropped."""
        record.msg, record.args = without_steering(cut(record.getMessage(), self.secrets)), ()
        if record.exc_info:
            text = logging.Formatter().formatException(record.exc_info)
            record.exc_info, record.exc_text = None, cut(text, self.secrets)
        return True


def quieten(secrets: list[str]) -> None:
    """Put one such filter before each of ``LOGGERS``, in the place of an earlier one."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        for old in [f for f in logger.filters if isinstance(f, NoSecrets)]:
            logger.removeFilter(old)
            secrets = sorted({*secrets, *old.secrets}, key=len, reverse=True)
        logger.addFilter(NoSecrets(secrets))
