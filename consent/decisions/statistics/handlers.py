"""/api/consents/v1/statistics/: the consent metrics."""

from aiohttp import web

from audience.public import access_app, caller_of
from audience.server.json_api import document_of, json_response, read_query, resource
from audience.server.keys import DATABASE
from audience.server.openapi import described
from consent.decisions.statistics import operations
from consent.decisions.statistics.schemas import StatisticsAnswer, StatisticsQuery

KIND = "ConsentStatistics"


@described(query=StatisticsQuery, answer=StatisticsAnswer, resource=KIND, is_list=True)
async def get_consent_statistics(request: web.Request) -> web.Response:
    """GET /api/consents/v1/statistics/?website_id=&date_from=&date_to= -> 200.

    A row for each period in which anything happened, and within it for each set of the dimensions
    asked for; enumerations as [id, label]. Decisions count in the hour they were made in.
    consents_no_decision counts visitors of whole days (null by hour).
    Source: contract H4-H6, decision 7.
    """
    query = read_query(request, StatisticsQuery)
    async with request.app[DATABASE].transaction() as conn:
        app = await access_app(conn, caller_of(request), query["website_id"])
        rows = await operations.get_statistics(conn, app.app_id, app.timezone, query)
    data = [resource(KIND, str(number), row) for number, row in enumerate(rows)]
    return json_response(request, document_of(data, meta={"timezone": app.timezone}))
