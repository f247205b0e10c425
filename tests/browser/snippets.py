"""The loading snippets as pages carry them, character by character, addresses filled in."""

from tests.service_process import ServiceProcess

#: Since version 10.0: inserts the script only when the function is not there yet.
_CURRENT = (
    "(function(a,d,g,h,b,c,e){a[b]=a[b]||{};a[b][c]=a[b][c]||{};if(!a[b][c][e])"
    "{a[b][c][e]=function(){(a[b][c][e].q=a[b][c][e].q||[]).push(arguments)};var f=d."
    "createElement(g);d=d.getElementsByTagName(g)[0];f.async=1;f.src=h;d.parentNode."
    "insertBefore(f,d)}})\n"
    '(window,document,"script","%(url)s/audiences/static/widget/audience-manager.%(name)s.min.js",'
    '"ppms","am","%(name)s");'
)
#: Version 9: keeps the function, but inserts the script every time.
_OLD = (
    "(function(a,d,g,h,b,c,e){a[b]=a[b]||{};a[b][c]=a[b][c]||{};a[b][c][e]=a[b][c][e]||"
    "function(){(a[b][c][e].q=a[b][c][e].q||[]).push(arguments)};var f=d."
    "createElement(g);d=d.getElementsByTagName(g)[0];f.async=1;f.src=h;d.parentNode."
    "insertBefore(f,d)})\n"
    '(window,document,"script","%(url)s/audiences/static/widget/audience-manager.%(name)s.min.js",'
    '"ppms","am","%(name)s");'
)


def snippet(
    instance: ServiceProcess, name: str, commands: str = "", *, nonce: str = "", old: bool = False
) -> str:
    """The script element with the snippet of `api` or `form`, commands after it."""
    code = (_OLD if old else _CURRENT) % {"url": instance.url, "name": name}
    attribute = f' nonce="{nonce}"' if nonce else ""
    return f"<script{attribute}>\n{code}\n{commands}\n</script>"


def create(instance: ServiceProcess, name: str, app_id: str, rest: str = "") -> str:
    """The `create` command. rest: further arguments as JavaScript."""
    tail = f", {rest}" if rest else ""
    return f'ppms.am.{name}("create", "{app_id}", "127.0.0.1:{instance.port}"{tail});'


def visitor_cookie(
    app_id: str, visitor: str, visited: int = 1700000000, hash_: str = "1fff"
) -> str:
    """The script that sets an analytics visitor's cookie, as the analytics tracker would."""
    value = f"{visitor}.1600000000.1.{visited}.{visited}."
    return f'<script>document.cookie = "_pk_id.{app_id}.{hash_}={value};path=/";</script>'


def html(*parts: str) -> str:
    """A page of the parts, in a body."""
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>t</title>'
    body = "\n".join(parts)
    return f"{head}<body>{body}</body></html>"
