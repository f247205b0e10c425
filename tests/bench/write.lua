-- POST .../tracker/attributes/: MORE items in a request, each of a random existing profile, named by
-- user_id and analytics_visitor_id, with 5 attributes of which 3 get a new value each time.
package.path = (os.getenv("BENCH_LUA") or ".") .. "/?.lua;" .. package.path
local visitor = require("visitor")

wrk.headers["Content-Type"] = "application/json"

function init(args)
  visitor.read(args)
end

local function item(n)
  return string.format(
    '{"website_id":"%s","user_id":"user-%d","analytics_visitor_id":"%s","attributes":['
    .. '{"name":"plan","value":"silver"},{"name":"city","value":"town %d"},{"name":"age","value":%d},'
    .. '{"name":"last_product","value":"sku-%d"},{"name":"newsletter","value":"no"}]}',
    visitor.app(n), n, visitor.id(n), math.random(1, 100000), math.random(18, 90),
    math.random(1, 100000))
end

function request()
  local items = {}
  for i = 1, visitor.more do
    items[i] = item(visitor.any())
  end
  return wrk.format("POST", "/audiences/tracker/attributes/", nil, "[" .. table.concat(items, ",") .. "]")
end
