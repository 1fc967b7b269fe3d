"""What answers HTTP: asked once without and once with the login, because only the difference proves the login."""

from __future__ import annotations

from collections.abc import Mapping

from tieline.model.access import Http
from tieline.probes.asking import Answer, basic, bearer, get
from tieline.probes.family import (
    LATER,
    Asked,
    Failed,
    Family,
    Skipped,
    Work,
    is_secret,
    must_have_something,
    no_credential,
)
from tieline.probes.report import Operation
from tieline.probes.route import Route, target_of
from tieline.probes.tls import Trust, judge

LOGIN = ("username", "password", "token")
_UNKNOWN, _FORBIDDEN, _TOO_MANY = 401, 403, 429
_SAFE = "HTTP has no {} that could be tried safely"


class HttpFamily(Family):
    """One http address."""

    def __init__(self, access: Http, asked: Asked) -> None:
        super().__init__(asked)
        self._access = access
        self._route = Route(target_of(access.url), self.limits)
        self._trust = Trust(access.ca_bundle)
        self._answer: Answer | None = None

    def works(self) -> Mapping[Operation, Work]:
        return {
            Operation.RESOLVE: self._route.resolve,
            Operation.REACH: self._route.reach,
            Operation.TLS: self._tls,
            Operation.AUTHENTICATE: self._authenticate,
            Operation.LIST: "HTTP has no way to list what is there",
            Operation.READ: self._read,
            Operation.WRITE: _SAFE.format("write"),
            Operation.DELETE: _SAFE.format("delete"),
        }

    def cut(self) -> None:
        self._route.cut()

    close = cut

    def _tls(self) -> str:
        if self._route.target.secure:
            return judge(self._route.open, self._route.target.host, self._trust, "url")
        if self._access.tls:
            raise Failed("tls is on, and the address begins with http://", "write https://", "url")
        raise Skipped("the address is plain http: nothing is encrypted, and the server not identified")

    def _get(self, headers: Mapping[str, str] | None = None) -> Answer:
        answer = get(self._route, self._trust, self.limits.max_bytes, headers)
        if answer.status == _TOO_MANY:
            raise Failed(f"the server wants fewer requests: {answer.said}", "try again later")
        if answer.status >= 500:
            raise Failed(f"the server failed: {answer.said}", "see the server's log", "url")
        return answer

    def _login(self) -> dict[str, str]:
        """The header that says who we are; empty where the connection has no such login."""
        username, password, token = (self.secret(name) for name in LOGIN)
        if password is not None:
            return basic(username or "", password)
        if token is not None:
            return bearer(token)
        must_have_something(self._access.credentials, self.secrets, "password", "token")
        return {}

    def _authenticate(self) -> str:
        login = self._login()
        self._answer = plain = self._get()
        if not login:
            return self._without(plain)
        self._answer = known = self._get(login)
        how = "the token" if login["Authorization"].startswith("Bearer") else "the user and password"
        if known.status == _UNKNOWN:
            raise Failed(f"the server does not take {how}: {known.said}", "check the secret's values", self._mend())
        return self._difference(how, known, plain)

    def _difference(self, how: str, known: Answer, plain: Answer) -> str:
        """What it proves that the server answers ``known`` with the login and ``plain`` without. Raises."""
        if known.status == _FORBIDDEN:
            if plain.status != _UNKNOWN:
                raise Failed(
                    f"{known.said} with {how}, {plain.said} without", "check the secret's values", self._mend()
                )
            raise Skipped(
                f"not proved: {known.said} with {how}, {plain.said} without; a wrong login may be told so too"
            )
        if known.status == plain.status or plain.status < 400:
            raise Skipped(f"not proved: the server answers {plain.said} without a login too, so a wrong one would do")
        return f"{how} made the difference: {known.said}, and {plain.said} without"

    def _without(self, plain: Answer) -> str:
        if plain.status in (_UNKNOWN, _FORBIDDEN):
            scheme = plain.challenge.partition(" ")[0]
            asks = (
                f"the server asks for a login ({scheme}): {plain.said}" if scheme else f"the server says {plain.said}"
            )
            raise no_credential(self._access.credentials, asks, "password", "token")
        values = self._access.credentials.values
        if any(name in values and is_secret(values[name]) for name in self.secrets):
            raise Skipped(f"a login other than user, password or token {LATER}; {plain.said} without it")
        raise Skipped(f"the connection has no login; the server answers {plain.said} without one")

    def _mend(self) -> str:
        return "password" if "password" in self.secrets else "token"

    def _read(self) -> str:
        answer = self._answer or self._get()
        path = self._route.target.path.partition("?")[0]
        if answer.ok:
            return answer.amount()
        if answer.status == _FORBIDDEN:
            raise Failed(f"this login may not read {path}: {answer.said}", "ask for the right to read it", "url")
        if 300 <= answer.status < 400:
            raise Skipped(f"{answer.said} to {answer.location or 'nowhere'}, which is not followed: name it in the url")
        raise Skipped(f"{answer.said} for {path}: fine for the base of an interface; else mend the path in the url")
