-- The bench's visitors, computed as in population.py; loaded by check.lua and write.lua.
-- wrk -s SCRIPT URL -- SEED FIRST END OLD_APP YOUNG_APP HALF MORE
local visitor = {}

function visitor.read(args)
  math.randomseed(tonumber(args[1]))
  visitor.first, visitor.last = tonumber(args[2]), tonumber(args[3]) - 1
  visitor.old, visitor.young, visitor.half = args[4], args[5], tonumber(args[6])
  visitor.more = tonumber(args[7])
end

function visitor.any()
  return math.random(visitor.first, visitor.last)
end

function visitor.app(n)
  return n < visitor.half and visitor.old or visitor.young
end

function visitor.id(n)
  -- Doubles are exact here: the products stay below 2^53.
  local factor = n + 1
  return string.format("%08x%08x", factor * 2654435761 % 4294967296, factor * 2246822519 % 4294967296)
end

-- One line for tests/bench/wrk.py.
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    "RESULT %d %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.status, e.connect + e.read + e.write + e.timeout))
end

return visitor
