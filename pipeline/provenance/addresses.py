"""An address is recorded and printed without what could open it: logins, tokens, signatures.

A secret's name is whatever a server made it, so query and fragment go as a whole.
"""

import re

ADDRESS = re.compile(r"(\b[A-Za-z][A-Za-z0-9+.\-]{0,40}:)?//[^\s]+")
LOGIN = re.compile(r"(?<![^\s\"'(<=,])[^\s/:@]{1,200}:[^\s/@]{1,500}@(?=\w)")
"""Of an address with no scheme, as `name:password@host:path`; a name alone is no secret."""
QUERY = re.compile(r"\?[\w.\-~%\[\]]{1,200}=[^\s\"'<>)]*")
"""Of a path with no host."""
CLOSING = "\"'`<>()[]{},;:."
"""What a text has behind an address that stands in it."""


def without_login(text: str) -> str:
    """Returns the text in which no address has a user, a password, parameters, a query
    or a fragment."""
    text = ADDRESS.sub(lambda match: _plain(match[0], match[1] or ""), text)
    return LOGIN.sub("", QUERY.sub("", text))


def _plain(address: str, scheme: str) -> str:
    behind = address[len(address.rstrip(CLOSING)) :]
    rest = address.removeprefix(f"{scheme}//")
    host = re.split(r"[/?#;]", rest, maxsplit=1)[0]
    # A password with one of these in it, as people do not write it but paste it.
    broken = "@" not in host and ":" in host and not re.search(r":\d*$|\]$", host.rstrip(CLOSING))
    if "@" in host:
        rest = host.rpartition("@")[2] + rest[len(host) :]
    elif broken and "@" in rest:
        rest = rest.rpartition("@")[2]
    plain = re.split(r"[?#;]", rest, maxsplit=1)[0]
    return f"{scheme}//{plain}" + (behind if len(plain) < len(rest) else "")
