"""GET /api/audiences/v1/attributes/: the attributes of an app; changing them is a profile change.

Declaring and converting attributes is in `profile_changes/type_conversions`: both need the lock
that writers of profiles hold.
"""

from aiohttp import web

from audience.apps.access import access_app, caller_of
from audience.apps.audit.operations import record_audit_entry
from audience.attributes.catalogue import storage
from audience.attributes.catalogue.operations import KIND, attribute_resource
from audience.attributes.catalogue.schemas import AttributeAnswer, AttributesQuery
from audience.server import clock
from audience.server.database import raw
from audience.server.json_api import document_of, json_response, read_query
from audience.server.keys import DATABASE
from audience.server.openapi import described


@described(query=AttributesQuery, answer=AttributeAnswer, resource=KIND, is_list=True)
async def list_attributes(request: web.Request) -> web.Response:
    """GET /api/audiences/v1/attributes/?website_id=&field_type=&name=&limit=&offset= -> 200.

    Every attribute by field type and name, with statistics of its values: counted now and then, the
    time is with them. meta.total says how many match.
    """
    query = read_query(request, AttributesQuery)
    wanted = {"field_type": None, **query}
    caller, app_id = caller_of(request), query["website_id"]
    async with request.app[DATABASE].transaction() as conn:
        await access_app(conn, caller, app_id)
        rows, total = await storage.list_attributes(await raw(conn), app_id, wanted)
        # The most common values of an attribute are what people entered.
        await record_audit_entry(
            conn,
            caller,
            "list_attributes",
            now=clock.now(),
            app_id=app_id,
            target_type="app",
        )
    data = [attribute_resource(row) for row in rows]
    return json_response(request, document_of(data, meta={"total": total}))
