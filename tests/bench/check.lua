-- GET .../audiences/check/ of a random visitor and a random one of MORE audiences, at least ten.
package.path = (os.getenv("BENCH_LUA") or ".") .. "/?.lua;" .. package.path
local visitor = require("visitor")

function init(args)
  visitor.read(args)
end

function request()
  local n = visitor.any()
  return wrk.format("GET", string.format(
    "/audiences/public/api/profiles/%s/audiences/check/?website_id=%s&audience_id=5e6a1b2c-0000-4000-8000-%012x",
    visitor.id(n), visitor.app(n), math.random(0, math.max(visitor.more, 10) - 1)))
end
