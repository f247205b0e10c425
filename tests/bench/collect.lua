-- POST /consent/collect: a decision as the container sends it; of a random visitor, mostly a new one.
-- wrk -s SCRIPT URL -- SEED FIRST END APP ...
package.path = (os.getenv("BENCH_LUA") or ".") .. "/?.lua;" .. package.path
local visitor = require("visitor")

wrk.headers["Content-Type"] = "text/plain;charset=UTF-8"

local app

function init(args)
  visitor.read(args)
  app = args[4]
end

local function hex(digits)
  local text = ""
  for _ = 1, digits / 4 do
    text = text .. string.format("%04x", math.random(0, 65535))
  end
  return text
end

local function uuid()
  return hex(8) .. "-" .. hex(4) .. "-4" .. hex(4):sub(2) .. "-8" .. hex(4):sub(2) .. "-" .. hex(12)
end

local texts = { uuid(), uuid(), uuid(), uuid() }

function request()
  local n = visitor.any()
  return wrk.format("POST", "/consent/collect", nil, string.format(
    '{"visitorId":"%s","websiteId":"%s","hostname":"www.shop.example","event":"consent_change","consents":{'
    .. '"analytics":{"status":%d,"historyId":"%s"},"remarketing":{"status":%d,"historyId":"%s"},'
    .. '"conversion_tracking":{"status":0,"historyId":"%s"},"intro":{"historyId":"%s"}},'
    .. '"cookies":"session=%s; _pk_id.%s.1fff=%s.1700000000.3.1700000300.1700000200.; theme=dark",'
    .. '"decisionId":"%s","decidedAt":"%s","method":"save","source":1,"language":"en"}',
    uuid(), app, math.random(0, 1), texts[1], math.random(0, 1), texts[2], texts[3], texts[4],
    hex(32), app, visitor.id(n), uuid(), os.date("!%Y-%m-%dT%H:%M:%S.000Z")))
end
