"""The judge: an OpenAI-compatible endpoint, asked politely and never twice for the same thing.

Retries, waiting on rate limits and timeouts are the ``openai`` package's. What is ours: a reply that cannot be read is
sent back with the reason, and one that can is kept on disk before it is used.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from canonlib.errors import CanonlibError, ConfigError, require_finite, require_positive
from canonlib.judge.secrets import bare, cut, quieten, secrets_of, without_steering
from canonlib.store import write_json

if TYPE_CHECKING:
    from openai import OpenAI

T = TypeVar("T")
ATTEMPTS = 3
"""Times that one question is put when the replies cannot be read."""


class JudgeError(CanonlibError):
    """The endpoint does not answer, or refuses; the message says what was asked of whom, and what to do."""


class MalformedReplyError(JudgeError):
    """The endpoint answers, but never in the form that was asked for."""


@dataclass(frozen=True)
class Endpoint:
    """Whom to ask, and how. Raises ``ConfigError`` for a field that cannot work."""

    base_url: str
    """Where the API lives, such as ``http://localhost:8000/v1``."""
    model: str
    """The model's name there."""
    key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key. The key itself is never kept, shown or taken from elsewhere."""
    temperature: float = 0.0
    max_tokens: int = 300
    """Tokens of a reply at most."""
    timeout: float = 60.0
    """Seconds until one reply must be there, to its last byte."""
    retries: int = 5
    """Further tries after a timeout, a rate limit or a server's error, each after a longer wait (or the one it names)."""

    def __post_init__(self) -> None:
        _require_url(self.base_url)
        if not self.model:
            raise ConfigError("model must name the model to ask, got ''.")
        require_positive("max_tokens", self.max_tokens)
        require_finite("timeout (seconds)", self.timeout, above=0)
        require_finite("temperature", self.temperature, least=0)
        require_finite("retries", self.retries, least=0)

    def key(self) -> str:
        """The key from the environment; ``ConfigError`` names the variable when it is not set."""
        key = os.environ.get(self.key_env, "").strip()  # a key read from a file often ends in a line break
        if key and not (key.isascii() and key.isprintable()):
            raise ConfigError(f"the key in {self.key_env} has characters that no key has: set it again.")
        if not key:
            raise ConfigError(
                f"no key for {bare(self.base_url)}: set the environment variable {self.key_env} "
                "(to any text, for a server that asks for none)."
            )
        return key


class Judge:
    """Asks ``endpoint``; replies that could be read are kept below ``cache``, which is made when missing."""

    def __init__(self, endpoint: Endpoint, cache: str | Path) -> None:
        self.endpoint, self.cache = endpoint, Path(cache)
        self.n_asked = 0
        """Questions that this object has put to the endpoint, retries after a failure not counted."""
        self._client: OpenAI | None = None

    def ask(self, prompt: str, parse: Callable[[str], T]) -> T:
        """``parse`` of the reply to ``prompt``, from the cache or asked for now.

        ``parse`` raises ``ValueError`` for a reply that it cannot read; the judge is told why and asked again, three
        times in all. Raises ``MalformedReplyError`` when none can be read, ``JudgeError`` when the endpoint does not
        answer or refuses, and ``ConfigError`` without a key.
        """
        kept = self.known(prompt, parse)
        if kept is not None:
            return kept
        messages: list[Any] = [{"role": "user", "content": prompt}]
        why = ""
        for _ in range(ATTEMPTS):
            reply = self._send(messages)
            try:
                answer = parse(reply)
            except ValueError as exc:
                why = str(exc)
                again = f"That cannot be read: {why}. Please reply in the form that was asked for."
                messages += [{"role": "assistant", "content": reply}, {"role": "user", "content": again}]
                continue
            self._keep(prompt, reply)
            return answer
        raise MalformedReplyError(f"{self.endpoint.model} gave no readable reply in {ATTEMPTS} tries: {why}.")

    def known(self, prompt: str, parse: Callable[[str], T]) -> T | None:
        """``parse`` of the kept reply; None when there is none, or it is damaged or cannot be read."""
        try:
            kept = json.loads(self._file(prompt).read_text(encoding="utf-8"))
            if kept["checksum"] != _checksum(kept["reply"]):
                return None
            return parse(kept["reply"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    def _file(self, prompt: str) -> Path:
        asked = {k: v for k, v in asdict(self.endpoint).items() if k not in ("key_env", "timeout", "retries")}
        digest = _checksum(json.dumps({**asked, "prompt": prompt}, sort_keys=True))
        return self.cache / digest[:2] / f"{digest}.json"

    def _keep(self, prompt: str, reply: str) -> None:
        file = self._file(prompt)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, {"model": self.endpoint.model, "prompt": prompt, "reply": reply, "checksum": _checksum(reply)})

    def _send(self, messages: list[Any]) -> str:
        """The reply, without the key and without characters that steer a terminal. Raises ``JudgeError``."""
        where, client = self.endpoint, self._open()
        import openai

        self.n_asked += 1
        kept, shown = "Replies so far are kept: run it again to go on.", bare(where.base_url)
        try:
            found: Any = client.chat.completions.create(
                model=where.model, messages=messages, temperature=where.temperature, max_tokens=where.max_tokens
            )
            choice = found.choices[0]
            text = choice.message.content
            if not isinstance(text, (str, type(None))):
                raise TypeError(f"the content is a {type(text).__name__}")
        # What was raised is not chained: it may hold the key, and a traceback would show it.
        except (openai.AuthenticationError, openai.PermissionDeniedError):
            raise JudgeError(f"{shown} refuses the key in {where.key_env}: set another one.") from None
        except openai.APITimeoutError:
            raise JudgeError(
                f"{shown} did not answer within {where.timeout:g} s, {where.retries + 1} times. {kept}"
            ) from None
        except openai.APIConnectionError as exc:
            raise JudgeError(f"{shown} cannot be reached ({self._short(exc.__cause__ or exc)}). {kept}") from None
        except openai.APIStatusError as exc:
            told = f"{shown} answers with status {exc.status_code} ({self._short(exc)}). {kept}"
            raise JudgeError(told) from None
        except (openai.APIError, AttributeError, IndexError, TypeError, ValueError, RecursionError) as exc:
            why = self._short(exc)
            raise JudgeError(f"{shown} answers in a form that is not the chat API's ({why}).") from None
        if choice.finish_reason == "length":
            raise JudgeError(
                f"a reply of {where.model} was cut off at {where.max_tokens} tokens: raise max_tokens. {kept}"
            )
        return without_steering(cut(text or "", self._secrets()))

    def _secrets(self) -> list[str]:
        return secrets_of(self.endpoint.base_url, self.endpoint.key())

    def _short(self, exc: BaseException) -> str:
        """One line of somebody else's message, no secret and nothing that steers a terminal in it."""
        text = without_steering(cut(" ".join(str(exc)[:100_000].split()), self._secrets()))
        return text if len(text) <= 200 else text[:200] + "..."

    def _open(self) -> OpenAI:
        if self._client is None:
            try:
                import httpx
                from openai import OpenAI

                from canonlib.judge.transport import Bounded
            except ImportError as exc:
                raise ConfigError("the judge needs openai and httpx: pip install 'canonlib[judge]'.") from exc
            where = self.endpoint
            quieten(self._secrets())
            self._client = OpenAI(
                base_url=where.base_url, api_key=where.key(), timeout=where.timeout, max_retries=where.retries,
                http_client=httpx.Client(  # type: ignore[arg-type]  # newer versions take httpx2's as well
                    transport=Bounded(where.timeout), headers={"Accept-Encoding": "gzip, deflate"}
                ),
            )  # fmt: skip
        return self._client


def _require_url(url: str) -> None:
    """``ConfigError`` for what is no address of a web server: no host, a port that cannot be, blanks, control characters."""
    reason = ""
    try:
        parts = urlsplit(url)
        if not url.startswith(("http://", "https://")):
            reason = "must begin with http:// or https://"
        elif not parts.hostname:
            reason = "names no host"
        elif any(c.isspace() or not c.isprintable() for c in url):
            reason = "holds blanks or control characters"
        elif parts.port == 0:
            reason = "names port 0"
    except ValueError as exc:
        reason = f"is no address ({exc})"
    if reason:
        raise ConfigError(f"base_url {reason}, got {url.partition('?')[0].rpartition('@')[2]!r}.")  # no key in it


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
