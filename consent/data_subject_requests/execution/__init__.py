"""Doing what a request asks for: access export, rectification, erasure, preview, receipt.

The seam to the rest of the feature. `operations.py` in here has

- `preview_request(conn, request, now) -> dict[str, int]`: what executing it would touch, counts per
  table; changes nothing.
- `start_execution(conn, request, caller, now, instructions) -> None`: takes note that it is to be
  executed, moves it to in_progress (`operations.move_request`), which demands that it is verified.
  instructions: the body of `execute` as `schemas.ExecutionInstructions` loads it (what to change,
  for change_data). Errors: Conflict when it is executed already or is no leader.
- `receipt(conn, request) -> str`: the signed receipt as compact JWS.  Errors: Conflict before it is
  resolved.

`jobs.py` has the step `execute_some(app) -> bool`: one bounded share of the work; when the last one
is done it moves the request to resolved and queues the outcome's mail: `queue_mail(conn, app_id=,
request_id=, purpose=, recipient=, language=, parameters=, now=)` of `mails/operations.py`.
`composers.py` has COMPOSERS: {purpose: composer} of the mails that it queues; a composer runs when
the mail is sent, so that secrets of links are made then and never stored.
"""
