"""Web pages with our container on them, in a real Chromium, against the real service.

A shop on hosts of its own (`www.shop.test`), the service on another origin.
"""

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from playwright.async_api import Browser, BrowserContext, Page, Request

from tests.browser.waiting import EVENTUALLY_SECONDS, until
from tests.conftest import App, Authorized

if TYPE_CHECKING:
    from tests.browser.conftest import Site

HOST = "www.shop.test"
TYPES = ["analytics", "conversion_tracking", "remarketing"]
ALL_TYPES = [
    "analytics",
    "ab_testing_and_personalization",
    "conversion_tracking",
    "marketing_automation",
    "remarketing",
    "user_feedback",
    "custom_consent",
]

AGREE, REJECT, SAVE = "#ppms_cm_agree-to-all", "#ppms_cm_reject-all", "#ppms_cm_save-choices"
CLOSE = "#ppms_cm_close-popup"
FORM = "#ppms_cm_popup_wrapper"
REMINDER = "#ppms_cm_reminder"

#: The asynchronous snippet as the product documentation prints it, without the debugging part.
SNIPPET = """<script type="text/javascript"%(nonce)s>
(function(window, document, dataLayerName, id) {
window[dataLayerName]=window[dataLayerName]||[],window[dataLayerName].push({start:(new Date).getTime(),event:"stg.start"});
var scripts=document.getElementsByTagName('script')[0],tags=document.createElement('script');
var qP=[];dataLayerName!=="dataLayer"&&qP.push("data_layer_name="+dataLayerName);
var qPString=qP.length>0?("?"+qP.join("&")):"";
%(set_nonce)s
tags.async=!0,tags.src="%(service)s/containers/"+id+".js"+qPString,scripts.parentNode.insertBefore(tags,scripts);
!function(a,n,i){a[n]=a[n]||{};for(var c=0;c<i.length;c++)!function(i){a[n][i]=a[n][i]||{},a[n][i].api=a[n][i].api||function(){
var a=[].slice.call(arguments,0);"string"==typeof a[0]&&window[dataLayerName].push({event:n+"."+i+":"+a[0],parameters:[].slice.call(arguments,1)})}}(i[c])}(window,"ppms",["tm","cm"]);
})(window, document, '%(layer)s', '%(app_id)s');
</script>"""

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Oak and linen</title>
<style%(nonce)s>
body { margin: 0; background: #f5f2ec; color: #26231e; font: 17px/1.6 Georgia, serif }
a { color: inherit }
main { max-width: 44rem; margin: 0 auto; padding: 2rem 1.25rem 6rem }
@media (prefers-color-scheme: dark) { body { background: #15161a; color: #dcdcdc } }
%(style)s
</style>%(head)s</head><body>%(snippet)s<main><h1>Oak and linen</h1>
<p>Furniture made to last, from wood that was felled within a hundred kilometres of our workshop.
Each piece is signed by the person who made it.</p>
<p><a id="first" href="#first">Tables</a> <a href="#second">Benches</a></p>%(body)s</main></body></html>"""


@dataclass
class Visitor:
    """One browser profile with one page, and what it has sent."""

    shop: "Shop"
    context: BrowserContext
    page: Page
    sent: list[dict[str, Any]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    async def open(self, path: str = "/", host: str = HOST) -> None:
        """Load a page; the container has run when it returns."""
        await self.page.goto(self.shop.url(path, host))
        await until(self.page, "window.sevenTag && sevenTag.containers")

    async def command(self, name: str, *arguments: Any) -> Any:
        """["fulfilled", ...results] or ["rejected", error]."""
        return await self.page.evaluate(
            """([name, args]) => new Promise(settle => ppms.cm.api(name, ...args,
                (...results) => settle(["fulfilled", ...results]),
                error => settle(["rejected", error])))""",
            [name, list(arguments)],
        )

    async def decide(self, **statuses: int) -> None:
        """Save a decision by the command, through to the service."""
        settings = {"consents": {name: {"status": status} for name, status in statuses.items()}}
        assert await self.command("setComplianceSettings", settings) == ["fulfilled"]

    async def raw_cookie(self, name: str = "ppms_privacy_") -> str | None:
        """The undecoded value of the app's cookie."""
        full_name = name + self.shop.app.app_id
        for cookie in await self.context.cookies(self.page.url):
            if cookie.get("name") == full_name:
                return cookie.get("value")
        return None

    async def statuses(self) -> dict[str, int]:
        """{type: status} by the command."""
        _, settings = await self.command("getComplianceSettings")
        return {name: one["status"] for name, one in settings.get("consents", {}).items()}

    async def events(self, layer: str = "dataLayer") -> list[str]:
        """The container's events in the data layer."""
        found: list[str] = await self.page.evaluate(
            "name => window[name].map(one => one && one.event).filter(one => /^stg\\./.test(one))",
            layer,
        )
        return found

    async def sent_events(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """What was sent of an event, once there are `count`."""
        for _ in range(1500):
            found = [one for one in self.sent if one.get("event") == event]
            if len(found) >= count:
                return found
            await self.page.wait_for_timeout(20)
        message = f"only {len(found)} of {count} {event}: {self.sent}"
        raise AssertionError(message)

    async def delivered(self) -> None:
        """Wait until the service has every decision."""
        await until(self.page, "!Object.keys(localStorage).length")

    async def forget_language(self) -> None:
        """Drop the cookie that keeps the language of the session."""
        await self.context.clear_cookies(name="language")

    async def set_cookie(self, value: str, host: str = HOST) -> None:
        """Put a privacy cookie there, `value` as it stands in document.cookie."""
        await self.context.add_cookies(
            [
                {
                    "name": f"ppms_privacy_{self.shop.app.app_id}",
                    "value": value,
                    "domain": host,
                    "path": "/",
                }
            ]
        )


@dataclass
class Shop:
    """An app's web site: its pages, and what the operator sets."""

    app: App
    authorized: Authorized
    site: "Site"
    browser: Browser
    contexts: list[BrowserContext] = field(default_factory=list)

    @property
    def service_url(self) -> str:
        """Origin of the service."""
        return str(self.app.service.make_url("/")).rstrip("/")

    def url(self, path: str = "/", host: str = HOST) -> str:
        """Address of a page."""
        return self.site.url(path, host)

    def snippet(self, layer: str = "dataLayer", nonce: str = "", *, is_new: bool = False) -> str:
        """The published snippet; is_new: the one that puts the nonce on what it inserts, too."""
        return SNIPPET % {
            "service": self.service_url,
            "app_id": self.app.app_id,
            "layer": layer,
            "nonce": f' nonce="{nonce}"' if nonce else "",
            "set_nonce": f'tags.nonce="{nonce}";' if is_new else "",
        }

    def page(self, path: str = "/", **parts: Any) -> None:
        """Serve a page: parts `body`, `head`, `style`, `snippet`, `nonce`, `headers`."""
        nonce = parts.get("nonce", "")
        text = PAGE % {
            "body": parts.get("body", ""),
            "head": parts.get("head", ""),
            "style": parts.get("style", ""),
            "snippet": parts.get("snippet", self.snippet(nonce=nonce)),
            "nonce": f' nonce="{nonce}"' if nonce else "",
        }
        self.site.put(text, path, **parts.get("headers", {}))

    async def configure(self, **settings: Any) -> None:
        """Change the app's consent settings over the authorized API."""
        document = {
            "data": {"type": "ConsentSettings", "id": self.app.app_id, "attributes": settings}
        }
        path = f"/api/consents/v1/settings/?website_id={self.app.app_id}"
        assert (await self.authorized.patch(path, json=document))[0] == 204

    async def configure_app(self, **attributes: Any) -> None:
        """Change the app's own settings (contract H8) over the authorized API."""
        document = {"data": {"type": "ppms/app", "id": self.app.app_id, "attributes": attributes}}
        status, answer = await self.authorized.patch(
            f"/api/apps/v2/{self.app.app_id}", json=document
        )
        assert status in (200, 204), answer

    async def publish(
        self, text_key: str, language: str, content: dict[str, str], **more: Any
    ) -> str:
        """Publish a text; its historyId."""
        attributes = {"text_key": text_key, "language": language, "content": content, **more}
        path = f"/api/consents/v1/forms/publish/?website_id={self.app.app_id}"
        document = {"data": {"type": "ConsentText", "attributes": attributes}}
        status, answer = await self.authorized.post(path, json=document)
        assert status == 201, answer
        return str(answer["data"]["id"])

    async def visitor(self, **options: Any) -> Visitor:
        """A new browser profile: options of Playwright's new_context."""
        options = {"locale": "en-US", "viewport": {"width": 1280, "height": 800}, **options}
        context = await self.browser.new_context(**options)
        self.contexts.append(context)
        context.set_default_timeout(EVENTUALLY_SECONDS * 1000)
        visitor = Visitor(self, context, await context.new_page())

        def note(request: Request) -> None:
            if request.url.endswith("/consent/collect") and request.method == "POST":
                visitor.sent.append(json.loads(request.post_data or "null"))

        context.on("request", note)
        visitor.page.on("pageerror", lambda error: visitor.errors.append(str(error)))
        return visitor

    async def decisions(self) -> list[dict[str, Any]]:
        """The app's history, oldest first."""
        found = await self.app.rows.fetch(
            "SELECT * FROM consent_decisions WHERE app_id = $1 ORDER BY sequence", self.app.app_id
        )
        return [{**row, "consents": json.loads(row["consents"])} for row in found]


def cookie_value(document: dict[str, Any]) -> str:
    """A privacy cookie as the container writes it."""
    text = json.dumps(document, separators=(",", ":"))
    return quote(text, safe="!'()*#$&+/:<=>?@[]^`{|}")


def privacy_cookie(consents: dict[str, Any], **members: Any) -> str:
    """A cookie of the host www.shop.test."""
    document = {
        "visitorId": "11111111-2222-4333-8444-555555555555",
        "domain": {"normalized": HOST, "isWildcard": False, "pattern": HOST},
        "consents": consents,
        "staleCheckpoint": "2026-11-01T00:00:00.000Z",
        **members,
    }
    return cookie_value({name: value for name, value in document.items() if value is not None})
