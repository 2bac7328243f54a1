-- catalog registrations: a node with a service and a check, another one each time; every round under new names
local n = 0
local round = os.getenv("BENCH_ROUND") or "0"
request = function()
  n = n + 1
  local name = "r" .. round .. "-" .. n
  local body = '{"Node":"' .. name .. '","Address":"10.9.0.1","Service":{"Service":"reg","ID":"' .. name ..
    '","Port":80},"Check":{"CheckID":"c","Name":"c","Status":"passing","ServiceID":"' .. name .. '"}}'
  return wrk.format("PUT", "/v1/catalog/register", nil, body)
end
